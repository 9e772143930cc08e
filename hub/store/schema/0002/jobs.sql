-- Jobs that export and import registrations. By id the newest comes first.
CREATE TABLE job (
    hub          TEXT NOT NULL,
    id           TEXT NOT NULL,
    type         TEXT NOT NULL,
    output_uri   TEXT NOT NULL,
    import_uri   TEXT NOT NULL,
    properties   TEXT NOT NULL,
    status       TEXT NOT NULL,
    progress     REAL NOT NULL,
    failure      TEXT NOT NULL,
    created_at   REAL NOT NULL,
    updated_at   REAL NOT NULL,
    ended_at     REAL,
    cursor_json  TEXT NOT NULL,
    owner        TEXT NOT NULL DEFAULT '',
    leased_until REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (hub, id)
) STRICT;
CREATE INDEX job_open ON job (hub, id) WHERE ended_at IS NULL;
CREATE INDEX job_updated ON job (updated_at);
