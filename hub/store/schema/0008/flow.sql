-- `flow_key` is the digest of the rule's `key`; `follows` the id of the notification that has to end before with
-- `order: key`; `cancelled_by` the rule and the event that withdrew it.
ALTER TABLE notification ADD COLUMN flow_key BLOB;
ALTER TABLE notification ADD COLUMN follows BLOB;
ALTER TABLE notification ADD COLUMN cancelled_by TEXT;
CREATE INDEX notification_flow_key ON notification (flow_key) WHERE flow_key IS NOT NULL AND ended_at IS NULL;
CREATE INDEX notification_follows ON notification (follows) WHERE follows IS NOT NULL AND ended_at IS NULL;

-- What flow control did with an event, as JSON: rules that were suppressed, and notifications that were withdrawn.
ALTER TABLE journal ADD COLUMN flow TEXT;
