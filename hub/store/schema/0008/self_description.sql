-- What a phone says of itself beside its push variables: its language and its time zone; NULL for what it does not say.
ALTER TABLE device ADD COLUMN locale TEXT;
ALTER TABLE device ADD COLUMN time_zone TEXT;
