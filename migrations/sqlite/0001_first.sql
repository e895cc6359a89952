-- The relayer's store. Times are milliseconds since 1970, hashes are raw bytes in their chain's
-- internal byte order. Statements in the code use $n parameters and run unchanged on PostgreSQL.

-- One unit of work. The row exists before anything is sent and is the only record of its progress.
CREATE TABLE items (
    id          INTEGER PRIMARY KEY,
    chain       TEXT    NOT NULL,             -- CAIP-2 id of the source
    kind        TEXT    NOT NULL,             -- headers
    key         TEXT    NOT NULL UNIQUE,      -- chain:first:last:hash of the last header
    stage       TEXT    NOT NULL CHECK (stage IN ('planned', 'sent', 'included', 'done', 'parked', 'dropped')),
    from_height BIGINT  NOT NULL,
    to_height   BIGINT  NOT NULL,
    parent_hash BLOB    NOT NULL,             -- parent of the first header
    last_hash   BLOB    NOT NULL,
    payload     BLOB    NOT NULL,             -- call data; emptied once included
    lease_owner TEXT,
    lease_until BIGINT  NOT NULL DEFAULT 0,
    attempt     BIGINT  NOT NULL DEFAULT 0,   -- failures so far
    next_at     BIGINT  NOT NULL DEFAULT 0,   -- not before
    reason      TEXT,                         -- of the last failure
    tx_hash     BLOB,
    nonce       BIGINT,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL
);
CREATE INDEX items_by_stage ON items (chain, stage, from_height);
CREATE INDEX items_by_age ON items (stage, updated_at);

-- Every nonce that was ever given out. A live one is owned by its item (or fills a gap).
CREATE TABLE nonces (
    signer     BLOB    NOT NULL,
    nonce      BIGINT  NOT NULL,
    item_key   TEXT,                          -- NULL: fills a gap, carries nothing
    state      TEXT    NOT NULL CHECK (state IN ('live', 'closed')),
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (signer, nonce)
);
CREATE INDEX nonces_live ON nonces (signer, state, nonce);

-- Every transaction that was ever signed: several per nonce after a replacement.
CREATE TABLE transactions (
    hash         BLOB    PRIMARY KEY,
    signer       BLOB    NOT NULL,
    nonce        BIGINT  NOT NULL,
    raw          BLOB    NOT NULL,            -- EIP-2718 bytes; emptied once settled
    max_fee      TEXT    NOT NULL,            -- per gas, decimal
    priority_fee TEXT    NOT NULL,            -- per gas, decimal
    outcome      TEXT    NOT NULL CHECK (outcome IN ('live', 'included', 'failed', 'lost')),
    sends        BIGINT  NOT NULL DEFAULT 0,
    sent_at      BIGINT  NOT NULL DEFAULT 0,
    created_at   BIGINT  NOT NULL
);
CREATE INDEX transactions_by_nonce ON transactions (signer, nonce);
CREATE INDEX transactions_by_age ON transactions (outcome, created_at);

-- Trouble of a chain, so that a restart does not forget its pause.
CREATE TABLE chains (
    chain      TEXT    PRIMARY KEY,
    state      TEXT    NOT NULL CHECK (state IN ('active', 'waiting', 'halted')),
    attempt    BIGINT  NOT NULL,
    next_at    BIGINT  NOT NULL,
    reason     TEXT,
    updated_at BIGINT  NOT NULL
);

-- What happened to an item, for people.
CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    at       BIGINT  NOT NULL,
    item_key TEXT    NOT NULL,
    what     TEXT    NOT NULL,
    detail   TEXT    NOT NULL
);
CREATE INDEX events_by_item ON events (item_key, id);
CREATE INDEX events_by_age ON events (at);
