-- Queues that processes share; SQLite has one.
INSERT INTO queue (queue) SELECT generate_series(1, 63);
