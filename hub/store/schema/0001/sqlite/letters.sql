-- Counts each letter that comes or goes.
CREATE TRIGGER dead_letter_kept AFTER INSERT ON dead_letter BEGIN
    INSERT INTO dead_letter_usage VALUES (new.queue, 1, new.bytes)
        ON CONFLICT (queue) DO UPDATE SET letters = letters + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER dead_letter_gone AFTER DELETE ON dead_letter BEGIN
    UPDATE dead_letter_usage SET letters = letters - 1, bytes = bytes - old.bytes WHERE queue = old.queue;
END;
