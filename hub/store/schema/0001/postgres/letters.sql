-- Counts each letter that comes or goes, once a statement.
CREATE FUNCTION dead_letter_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dead_letter_usage AS kept (queue, letters, bytes)
        SELECT queue, count(*), sum(bytes) FROM added GROUP BY queue
        ON CONFLICT (queue) DO UPDATE SET letters = kept.letters + excluded.letters, bytes = kept.bytes + excluded.bytes;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_letter_kept AFTER INSERT ON dead_letter
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_kept();
CREATE FUNCTION dead_letter_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE dead_letter_usage AS kept SET letters = kept.letters - gone.letters, bytes = kept.bytes - gone.bytes
        FROM (SELECT queue, count(*) AS letters, sum(bytes) AS bytes FROM dropped GROUP BY queue) AS gone
        WHERE kept.queue = gone.queue;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_letter_gone AFTER DELETE ON dead_letter
    REFERENCING OLD TABLE AS dropped FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_gone();
