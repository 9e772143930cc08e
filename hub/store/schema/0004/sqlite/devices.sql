-- As for the other indexes of devices: what SQLite's planner assumes of the sizes.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('device', 'device_by_channel_end', '1000000 1000000 1000000 4 1');
ANALYZE sqlite_schema;
