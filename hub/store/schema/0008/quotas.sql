-- What is known of the quota of a push service (`platform/hub`): pushes a minute, 0 for nothing, and as JSON what the processes
-- spent of it lately and were granted.
CREATE TABLE quota (
    service    TEXT NOT NULL,
    per_minute REAL NOT NULL,
    state      TEXT NOT NULL,
    PRIMARY KEY (service)
) STRICT, WITHOUT ROWID;
