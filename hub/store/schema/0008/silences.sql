-- Operators' silences: what an empty `rule`, `source` or `hub` covers is any. `at` and `until` are the store's time less the
-- `shift` of its queues, so that no step of a clock ends a silence; `removed_by` is who ended one before its time.
CREATE TABLE silence (
    id         TEXT NOT NULL,
    action     TEXT NOT NULL,
    rule       TEXT NOT NULL,
    source     TEXT NOT NULL,
    hub        TEXT NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    at         REAL NOT NULL,
    until      REAL NOT NULL,
    removed_by TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT;
-- The silence that decided about a notification last. In state Held the notification waits for the end of that silence; with
-- `due` 0 it is to be dropped.
ALTER TABLE notification ADD COLUMN silence TEXT;
CREATE INDEX notification_silenced ON notification (silence, queue, n) WHERE silence IS NOT NULL;
