-- What could not become a notification. A body is kept once, however many letters have it.

CREATE TABLE dead_letter_body (
    digest BLOB PRIMARY KEY,
    body   BLOB NOT NULL
) STRICT;

-- `relay` names the publisher that has yet to send the letter on; `size` are the bytes of its body, `bytes` those of all its
-- texts with the body, which the bound counts.
CREATE TABLE dead_letter (
    n            INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    at           REAL NOT NULL,
    source       TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    rule         TEXT NOT NULL,
    stage        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    digest       BLOB NOT NULL,
    size         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    content_type TEXT,
    headers      TEXT NOT NULL,
    tries        INTEGER NOT NULL,
    trace        TEXT NOT NULL,
    envelope     TEXT NOT NULL,
    config_hash  TEXT NOT NULL,
    revision     TEXT NOT NULL,
    relay        TEXT,
    person       TEXT,
    owner        TEXT NOT NULL,
    replayed_at  REAL,
    replay       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX dead_letter_at ON dead_letter (queue, at);
CREATE INDEX dead_letter_relay ON dead_letter (queue, relay) WHERE relay IS NOT NULL;
CREATE INDEX dead_letter_digest ON dead_letter (digest);
CREATE INDEX dead_letter_person ON dead_letter (person, queue) WHERE person IS NOT NULL;

-- How much is kept, counted with each letter that comes or goes: to read all of them takes a second of each million.
CREATE TABLE dead_letter_usage (
    queue   INTEGER PRIMARY KEY,
    letters INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;
