-- Messages that were seen on a source, and how far each source has been searched.
CREATE TABLE messages (
    key         TEXT    PRIMARY KEY,          -- chain:hash of the block:transaction:position
    message     BYTEA   NOT NULL,             -- id; the same message may stand in several places
    chain       TEXT    NOT NULL,             -- CAIP-2 id of the source
    height      BIGINT  NOT NULL,
    block       BYTEA   NOT NULL,
    tx          BYTEA   NOT NULL,
    position    BIGINT  NOT NULL,             -- number of the output, or of the log in the receipt
    sender      BYTEA   NOT NULL,
    recipient   BYTEA   NOT NULL,
    nonce       BIGINT  NOT NULL,
    ordered     BIGINT  NOT NULL,
    deadline    BIGINT  NOT NULL,             -- seconds since 1970; 0: none
    bytes       BIGINT  NOT NULL,             -- length of the payload
    stage       TEXT    NOT NULL CHECK (stage IN ('waiting', 'delivering', 'delivered', 'expired', 'filtered', 'orphaned')),
    reason      TEXT,                         -- why it is where it is
    attempt     BIGINT  NOT NULL DEFAULT 0,   -- refusals so far
    next_at     BIGINT  NOT NULL DEFAULT 0,   -- not before
    seen_at     BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL
);
CREATE INDEX messages_by_id ON messages (message);
CREATE INDEX messages_open ON messages (chain, attempt, height, position, next_at, stage) WHERE stage IN ('waiting', 'delivering');
CREATE INDEX messages_ordered ON messages (chain, sender, nonce) WHERE ordered = 1 AND stage IN ('waiting', 'delivering');
CREATE INDEX messages_by_age ON messages (updated_at) WHERE stage IN ('delivered', 'expired', 'filtered', 'orphaned');
CREATE INDEX messages_recent ON messages (seen_at, key);

-- The last blocks of each source that were searched for messages.
CREATE TABLE message_scans (
    chain  TEXT   NOT NULL,
    height BIGINT NOT NULL,
    hash   BYTEA  NOT NULL,
    PRIMARY KEY (chain, height)
);
