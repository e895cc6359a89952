-- What this relayer has attested: written before a signature leaves it. Two rows of one height are two
-- branches; a row whose header was followed as final (safe or finalized) never gets a second beside it.
CREATE TABLE attestations (
    signer     BYTEA   NOT NULL,
    chain      TEXT    NOT NULL,              -- CAIP-2 id of the source
    height     BIGINT  NOT NULL,
    hash       BYTEA   NOT NULL,
    final_head BIGINT  NOT NULL,              -- 1: the header was followed as final
    signed_at  BIGINT  NOT NULL,              -- first time
    PRIMARY KEY (signer, chain, height, hash)
);
CREATE INDEX attestations_by_age ON attestations (final_head, signed_at);
