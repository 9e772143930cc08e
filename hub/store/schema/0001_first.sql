-- Registry: installations are documents, registrations the unit of matching, tags an index over registrations.

CREATE TABLE hub (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE
) STRICT;

-- Phones of one app release register the same few templates: each text is kept once and compiled once.
CREATE TABLE template (
    id      INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL UNIQUE,
    body    TEXT NOT NULL,
    headers TEXT NOT NULL,
    expiry  TEXT
) STRICT;

CREATE TABLE installation (
    hub        INTEGER NOT NULL REFERENCES hub,
    id         TEXT NOT NULL,
    document   TEXT NOT NULL,
    updated_at REAL NOT NULL,
    expires_at REAL,
    PRIMARY KEY (hub, id)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: an ordinal is never given twice, for pages and results keep naming it.
CREATE TABLE registration (
    ordinal         INTEGER PRIMARY KEY AUTOINCREMENT,
    hub             INTEGER NOT NULL REFERENCES hub,
    registration_id TEXT NOT NULL,
    installation_id TEXT,
    platform        TEXT NOT NULL,
    push_channel    TEXT NOT NULL,
    template_name   TEXT,
    template        INTEGER REFERENCES template,
    tags            TEXT NOT NULL,
    push_variables  TEXT,
    etag            INTEGER NOT NULL,
    registered_at   REAL NOT NULL,
    expires_at      REAL,
    sibling         INTEGER NOT NULL DEFAULT 0,
    dead_at         REAL,
    dead_reason     TEXT
) STRICT;
CREATE UNIQUE INDEX registration_by_id ON registration (hub, registration_id);
CREATE INDEX registration_by_installation ON registration (hub, installation_id) WHERE installation_id IS NOT NULL;
CREATE INDEX registration_by_channel ON registration (hub, push_channel);
CREATE INDEX registration_dead ON registration (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX registration_expiry ON registration (expires_at) WHERE expires_at IS NOT NULL;

-- The tag index. A tag with few members is rows; one with many is roaring bitmaps in blocks of 65,536 ordinals, and its
-- rows are then changes not yet folded in (member 0: taken out). Keys are case-folded; those that begin with % are
-- ours: %native:PLATFORM, %template:PLATFORM and %sibling:PLATFORM.
CREATE TABLE tag (
    id        INTEGER PRIMARY KEY,
    hub       INTEGER NOT NULL REFERENCES hub,
    key       TEXT NOT NULL,
    dense     INTEGER NOT NULL DEFAULT 0,
    row_count INTEGER NOT NULL DEFAULT 0,
    UNIQUE (hub, key)
) STRICT;
CREATE TABLE tag_row (
    tag     INTEGER NOT NULL REFERENCES tag,
    ordinal INTEGER NOT NULL,
    member  INTEGER NOT NULL,
    PRIMARY KEY (tag, ordinal)
) STRICT, WITHOUT ROWID;
CREATE TABLE tag_block (
    tag    INTEGER NOT NULL REFERENCES tag,
    block  INTEGER NOT NULL,
    bitmap BLOB NOT NULL,
    PRIMARY KEY (tag, block)
) STRICT;

-- Work. `due_at` NULL: nothing to do. `lease` 0: free; else the fence of whoever works on it, and `due_at` is when that
-- lease ends. Times are seconds since 1970 UTC.
CREATE TABLE notification (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    hub          INTEGER NOT NULL REFERENCES hub,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    rule         TEXT NOT NULL,
    audience     TEXT,
    format       TEXT NOT NULL,
    content      BLOB NOT NULL,
    headers      TEXT,
    platforms    TEXT,
    priority     TEXT NOT NULL,
    collapse_key TEXT,
    accepted_at  REAL NOT NULL,
    schedule_at  REAL,
    expires_at   REAL,
    state        TEXT NOT NULL,
    due_at       REAL,
    lease        INTEGER NOT NULL DEFAULT 0,
    pages_open   INTEGER NOT NULL DEFAULT 0,
    started_at   REAL,
    ended_at     REAL,
    counts       TEXT,
    ordinals     BLOB
) STRICT;
CREATE INDEX notification_due ON notification (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notification_ended ON notification (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE page (
    id           INTEGER PRIMARY KEY,
    notification INTEGER NOT NULL REFERENCES notification,
    hub          INTEGER NOT NULL REFERENCES hub,
    platform     TEXT NOT NULL,
    lane         TEXT NOT NULL,
    ordinals     BLOB NOT NULL,
    attempt      INTEGER NOT NULL DEFAULT 0,
    due_at       REAL,
    lease        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX page_due ON page (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX page_due_of ON page (lane, hub, platform, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX page_of ON page (notification);

-- One row a push that is not a success; successes are counts alone.
CREATE TABLE failure (
    notification INTEGER NOT NULL REFERENCES notification,
    ordinal      INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (notification, ordinal)
) STRICT, WITHOUT ROWID;

-- Events seen: one table a bucket (seen_N), dropped whole when the window has passed.
CREATE TABLE seen_bucket (
    id        INTEGER PRIMARY KEY,
    opened_at REAL NOT NULL,
    row_count INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE dead_letter (
    id           INTEGER PRIMARY KEY,
    at           REAL NOT NULL,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    rule         TEXT NOT NULL,
    stage        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    body         BLOB NOT NULL,
    content_type TEXT,
    headers      TEXT NOT NULL,
    tries        INTEGER NOT NULL,
    trace        TEXT NOT NULL,
    config_hash  TEXT NOT NULL,
    relay        TEXT
) STRICT;
CREATE INDEX dead_letter_at ON dead_letter (at);
CREATE INDEX dead_letter_relay ON dead_letter (relay, id) WHERE relay IS NOT NULL;
