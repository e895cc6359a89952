-- Chains that an operator has paused: beside their trouble in `chains`, so that neither overwrites the other.
CREATE TABLE pauses (
    chain   TEXT   PRIMARY KEY,
    since   BIGINT NOT NULL,
    by_whom TEXT   NOT NULL,
    reason  TEXT
);

-- For questions about one header and about one item's transactions.
CREATE INDEX items_by_hash ON items (last_hash);
CREATE INDEX nonces_by_item ON nonces (item_key);
