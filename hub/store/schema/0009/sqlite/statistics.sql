-- What SQLite's planner assumes of the sizes, as for the indexes of devices. Version 1 asked for statistics of empty tables, by which
-- `notification_ended` has no rows and is better than any other index: content to be cleared was looked for among all that ended.
DELETE FROM sqlite_stat1 WHERE tbl = 'notification' AND idx = 'notification_ended';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('notification', 'notification_ended', '1000000 1000000 2'),
    ('notification', 'notification_content', '10000 10000 2'),
    ('notification', 'notification_sensitive', '10000 10000 2');
ANALYZE sqlite_schema;
