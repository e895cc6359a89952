-- Several relayers on one database, and indices that keep every statement of a round as fast with a
-- million rows as with ten.

-- Who works on the chain: only the holder plans and submits for it. Free when the time has passed.
ALTER TABLE chains ADD COLUMN holder TEXT;
ALTER TABLE chains ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;

-- The relayers of this database. One whose time has passed is dead: the others settle its transactions.
CREATE TABLE relayers (
    owner       TEXT    PRIMARY KEY,          -- a name of its own for every start
    signer      BLOB    NOT NULL,
    alive_until BIGINT  NOT NULL,
    started_at  BIGINT  NOT NULL
);

DROP INDEX items_by_stage;
DROP INDEX items_by_age;
CREATE INDEX items_by_stage ON items (chain, stage, from_height, to_height);
-- What is claimed next.
CREATE INDEX items_queue ON items (chain, position, from_height) WHERE stage IN ('planned', 'parked');
-- Numbers and ages.
CREATE INDEX items_open ON items (chain, stage, created_at)
    WHERE stage IN ('planned', 'sent', 'included', 'parked');
CREATE INDEX items_finished ON items (updated_at) WHERE stage IN ('done', 'dropped');
CREATE INDEX items_positions ON items (chain, position) WHERE position > 0;

DROP INDEX nonces_live;
CREATE INDEX nonces_live ON nonces (signer, nonce) WHERE state = 'live';
CREATE INDEX nonces_closed ON nonces (created_at) WHERE state = 'closed';

DROP INDEX transactions_by_age;
CREATE INDEX transactions_settled ON transactions (created_at) WHERE outcome <> 'live';

-- Two processes with one key: the database itself refuses a second final header of a height.
CREATE UNIQUE INDEX attestations_final ON attestations (signer, chain, height) WHERE final_head = 1;
