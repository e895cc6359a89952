-- What the sources of a chain disagreed on last: evidence, which stays when they agree again.
CREATE TABLE disagreements (
    chain    TEXT   PRIMARY KEY,
    what     TEXT   NOT NULL,
    began_at BIGINT NOT NULL,
    -- Not while they disagree.
    ended_at BIGINT
);
