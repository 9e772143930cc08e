-- What is known afterwards, and what goes out beside the pushes.

-- Who changed what: one row for each change that an operator made, written in the transaction of the change.
CREATE TABLE audit (
    n      INTEGER PRIMARY KEY,
    queue  INTEGER NOT NULL,
    at     REAL NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (queue, at);
CREATE INDEX audit_target ON audit (queue, target);

-- Erasures of persons that are done, each by its mark in the file of erasures beside the store: a copy says with these which
-- of them it has behind it. Until `is_overwritten` the files may still hold bytes of the person.
CREATE TABLE erasure (
    mark           BLOB PRIMARY KEY,
    is_overwritten INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Under which configuration a thing was decided; `id` is a hash of both texts.
CREATE TABLE configuration (
    id       INTEGER PRIMARY KEY,
    revision TEXT NOT NULL,
    hash     TEXT NOT NULL
) STRICT;

-- What became of each event. `detail` holds no value of the event; `content` holds values, and goes before the row. `size`
-- is the bytes of both.
CREATE TABLE journal (
    n             INTEGER PRIMARY KEY,
    queue         INTEGER NOT NULL,
    at            REAL NOT NULL,
    source        TEXT NOT NULL,
    event_id      TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    detail        TEXT NOT NULL,
    content       BLOB,
    size          INTEGER NOT NULL,
    trace         TEXT NOT NULL,
    configuration INTEGER,
    person        TEXT
) STRICT;
CREATE INDEX journal_event ON journal (event_id, source);
CREATE INDEX journal_person ON journal (person, queue) WHERE person IS NOT NULL;

-- What a relay has yet to publish to a sink, in the order of n.
CREATE TABLE sink (
    n            INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    sink         TEXT NOT NULL,
    at           REAL NOT NULL,
    due          REAL,
    attempt      INTEGER NOT NULL DEFAULT 0,
    body         BLOB NOT NULL,
    content_type TEXT,
    headers      TEXT NOT NULL DEFAULT '{}',
    person       TEXT
) STRICT;
CREATE INDEX sink_due ON sink (queue, sink, due) WHERE due IS NOT NULL;
CREATE INDEX sink_person ON sink (person, queue) WHERE person IS NOT NULL;
