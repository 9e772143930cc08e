-- Which template a registration had until it was given another, or lost it: so that what it was sent can be shown as it was.
CREATE TABLE earlier_template (
    hub      INTEGER NOT NULL,
    shard    INTEGER NOT NULL,
    ordinal  INTEGER NOT NULL,
    until    REAL NOT NULL,
    template INTEGER NOT NULL,
    PRIMARY KEY (hub, shard, ordinal, until)
) STRICT, WITHOUT ROWID;
CREATE INDEX earlier_template_until ON earlier_template (hub, shard, until);
