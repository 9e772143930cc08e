-- Work on its way. Times are seconds since 1970 UTC by the store's clock; `n` and `number` count up within a queue.
-- `due` NULL: nothing to do. Nothing is written when work is taken: its owner knows what it has in hand.

-- `beat` is when the owner last wrote that it lives; `next_n` the first number that no owner has reserved; `shift` the
-- seconds by which the store's time was moved with the host's clock: the marks of events keep a time without.
CREATE TABLE queue (
    queue  INTEGER PRIMARY KEY,
    owner  TEXT NOT NULL DEFAULT '',
    fence  INTEGER NOT NULL DEFAULT 0,
    beat   REAL NOT NULL DEFAULT 0,
    next_n INTEGER NOT NULL DEFAULT 1,
    shift  REAL NOT NULL DEFAULT 0
) STRICT;
INSERT INTO queue (queue) VALUES (0);

CREATE TABLE process (
    id      TEXT PRIMARY KEY,
    beat    REAL NOT NULL,
    share   INTEGER NOT NULL,
    serves  TEXT NOT NULL,
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that were accepted, by a digest of source and id. One table with one key: a mark is claimed by one look at it,
-- where a table for each hour is looked at 25 times (97 us an event beside a million marks, where this takes 32).
CREATE TABLE seen (
    key BLOB PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The next offset of each partition whose messages are accepted with their offset.
CREATE TABLE kafka_offset (
    source      TEXT NOT NULL,
    topic       TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    at          REAL NOT NULL,
    PRIMARY KEY (source, topic, partition)
) STRICT, WITHOUT ROWID;

-- State of flow control, by key; with `due` it acts by itself at that time.
CREATE TABLE flow (
    queue INTEGER NOT NULL,
    key   BLOB NOT NULL,
    state BLOB NOT NULL,
    due   REAL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_due ON flow (queue, due) WHERE due IS NOT NULL;

-- `lane`: 0 single, 1 broadcast, 2 scheduled, 3 held. `service`: platform/hub, empty until the audience is known.
-- `unreached`: why no phone got it, of `unreached_count` registrations.
-- A notification that is its own page has `ordinals`, `done` and `again` as a page has them.
CREATE TABLE notification (
    n               INTEGER PRIMARY KEY,
    queue           INTEGER NOT NULL,
    id              BLOB NOT NULL UNIQUE,
    hub             TEXT NOT NULL,
    source          TEXT NOT NULL,
    event_id        TEXT NOT NULL,
    rule            TEXT NOT NULL,
    audience        TEXT,
    format          TEXT NOT NULL,
    content         BLOB NOT NULL,
    headers         TEXT,
    platforms       TEXT,
    priority        TEXT NOT NULL,
    collapse_key    TEXT,
    schedule_at     REAL,
    expires_at      REAL,
    accepted_at     REAL NOT NULL,
    state           TEXT NOT NULL,
    lane            INTEGER NOT NULL,
    service         TEXT NOT NULL DEFAULT '',
    due             REAL,
    deferred        INTEGER NOT NULL DEFAULT 0,
    done            INTEGER NOT NULL DEFAULT 0,
    again           BLOB,
    ordinals        BLOB,
    counts          TEXT,
    started_at      REAL,
    ended_at        REAL,
    configuration   INTEGER,
    person          TEXT,
    unreached       TEXT,
    unreached_count INTEGER
) STRICT;
CREATE INDEX notification_due ON notification (queue, lane, service, due) WHERE due IS NOT NULL;
CREATE INDEX notification_ended ON notification (queue, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX notification_of_pages ON notification (queue) WHERE state = 'Processing' AND due IS NULL;
CREATE INDEX notification_person ON notification (person, queue) WHERE person IS NOT NULL;

-- Whom a notification is about or for besides its `person`.
CREATE TABLE addressee (
    queue        INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    person       TEXT NOT NULL,
    PRIMARY KEY (queue, notification, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX addressee_person ON addressee (person, queue);

-- A page waits in a queue of its own; `home` and `notification` say whose it is.
CREATE TABLE page (
    number       INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    home         INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    hub          TEXT NOT NULL,
    shard        INTEGER NOT NULL DEFAULT 0,
    lane         INTEGER NOT NULL,
    service      TEXT NOT NULL,
    due          REAL,
    deferred     INTEGER NOT NULL DEFAULT 0,
    attempt      INTEGER NOT NULL DEFAULT 0,
    ordinals     BLOB NOT NULL,
    done         INTEGER NOT NULL DEFAULT 0,
    again        BLOB,
    counts       TEXT
) STRICT;
CREATE INDEX page_due ON page (queue, lane, service, due) WHERE due IS NOT NULL;
CREATE INDEX page_open ON page (home, notification) WHERE due IS NOT NULL;
CREATE INDEX page_of ON page (home, notification);

-- One row a push that is not a success; successes are counts alone. `queue` is that of the notification.
CREATE TABLE failure (
    queue        INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (queue, notification, ordinal)
) STRICT, WITHOUT ROWID;
