-- The trace of a notification: a traceparent, and after a blank its tracestate; NULL for none.
ALTER TABLE notification ADD COLUMN trace TEXT;
