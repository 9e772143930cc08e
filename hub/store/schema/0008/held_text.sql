-- Texts held here that notifications name, each once, by a hash of the document: what was accepted is sent as it was worded then.
-- `used_at` is when one was accepted that names it, give or take an hour, by the clock of the marks of events.
CREATE TABLE held_text (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    document BLOB NOT NULL,
    used_at  REAL NOT NULL
) STRICT;
CREATE INDEX held_text_used ON held_text (used_at);
CREATE INDEX notification_text ON notification (headers) WHERE format = 'template' AND headers IS NOT NULL;
