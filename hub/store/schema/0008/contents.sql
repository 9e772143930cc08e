-- A notification's content goes before its row: `content_size` is the bytes that its content had, set when the content is
-- cleared; NULL while the content is there. `sensitive` is 1 for one whose content is cleared as it ends, NULL otherwise.
ALTER TABLE notification ADD COLUMN sensitive INTEGER;
ALTER TABLE notification ADD COLUMN content_size INTEGER;
CREATE INDEX notification_content ON notification (queue, ended_at) WHERE ended_at IS NOT NULL AND content_size IS NULL;
CREATE INDEX notification_sensitive ON notification (queue, ended_at) WHERE sensitive = 1;
-- The bytes of a body that is not kept, since its source or a rule is sensitive; NULL where the letter has its body.
ALTER TABLE dead_letter ADD COLUMN withheld INTEGER;
