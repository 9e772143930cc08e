-- What phones said of their pushes: `event` is received, opened or acted, `action` empty but for acted. `queue` is that of the
-- notification; `n` is the row's own number, given in any queue; `at` is when the report came, by the store's clock.
CREATE TABLE report (
    queue        INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    phone        TEXT NOT NULL,
    event        TEXT NOT NULL,
    action       TEXT NOT NULL,
    n            INTEGER NOT NULL,
    at           REAL NOT NULL,
    hub          TEXT NOT NULL,
    platform     TEXT NOT NULL,
    person       TEXT,
    PRIMARY KEY (notification, queue, phone, event, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_person ON report (person, queue) WHERE person IS NOT NULL;
