-- What SQLite's planner assumes of the sizes: without it a look-up by key would read all devices of a hub, for they share the
-- first columns of the primary key.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('device', 'device', '1000000 1000000 1000000 1'),
    ('device', 'device_by_installation', '1000000 1000000 1000000 1'),
    ('device', 'device_by_registration', '1000000 1000000 1000000 1'),
    ('device', 'device_by_channel', '1000000 1000000 1000000 2'),
    ('device', 'device_dead', '10000 10000 10000 2'),
    ('device', 'device_expiry', '10000 10000 10000 2');
ANALYZE sqlite_schema;
