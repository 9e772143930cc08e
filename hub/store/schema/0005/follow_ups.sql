-- When to look whether phones have opened a push. `about`: delivered (pushes that a push service took), failed (those that none
-- did), expanded (a notification with too many phones). `page` is the number of the page whose registrations are meant, 0 for the
-- notification's own row; `sinks` are names, joined by commas. `due` NULL: looked at, `ended_at`; of how many phones sinks were
-- told, and how many had opened, stays for who asks why.
CREATE TABLE follow_up (
    queue        INTEGER NOT NULL,
    notification INTEGER NOT NULL,
    page         INTEGER NOT NULL,
    about        TEXT NOT NULL,
    due          REAL,
    sent_at      REAL NOT NULL,
    sinks        TEXT NOT NULL,
    ended_at     REAL,
    told         INTEGER,
    opened       INTEGER,
    PRIMARY KEY (queue, notification, page, about)
) STRICT, WITHOUT ROWID;
CREATE INDEX follow_up_due ON follow_up (queue, due) WHERE due IS NOT NULL;
