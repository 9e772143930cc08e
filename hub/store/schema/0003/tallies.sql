-- How often what happened, by the hour that it happened in (hours since 1970 UTC). `kind` is push, notification, operation or
-- devices; `name` an outcome, a state, or an operation. A queue has rows of its own, so that no two processes write the same.
CREATE TABLE tally (
    kind     TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    hub      TEXT NOT NULL,
    platform TEXT NOT NULL,
    name     TEXT NOT NULL,
    queue    INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (kind, hour, hub, platform, name, queue)
) STRICT, WITHOUT ROWID;

-- Until when the notifications of a queue that ended are in `tally`.
CREATE TABLE tallied (
    queue INTEGER NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (queue)
) STRICT, WITHOUT ROWID;
