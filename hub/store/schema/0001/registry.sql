-- Registry: devices with the registrations derived from them, templates, and the index of tags.
--
-- All but `hub` and `template` lead with (hub, shard); a hub has one shard, number 0, in this version.

CREATE TABLE hub (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Ordinals of registrations are given out in blocks, from `next_ordinal` on.
CREATE TABLE shard (
    hub          INTEGER NOT NULL,
    shard        INTEGER NOT NULL,
    next_ordinal INTEGER NOT NULL,
    PRIMARY KEY (hub, shard)
) STRICT, WITHOUT ROWID;

-- Phones of one app release register the same few templates: each text is kept once and compiled once. The id is the first
-- 8 bytes of the text's hash.
CREATE TABLE template (
    id      INTEGER PRIMARY KEY,
    body    TEXT NOT NULL,
    headers TEXT NOT NULL,
    expiry  TEXT
) STRICT;

-- A push channel with what its registrations have in common: an installation, or a registration that a client made alone.
-- `ordinal` is that of its first registration. `installation_key` is the id by which installations are compared and listed,
-- `installation_id` its spelling where that differs. `push_channel` and `tags` are packed, `templates` is a JSON list
-- (hub/store/registry/rows.py). `channel_key` are 8 bytes of the channel's hash. The times are seconds since 1970 UTC.
CREATE TABLE device (
    hub              INTEGER NOT NULL,
    shard            INTEGER NOT NULL,
    ordinal          INTEGER NOT NULL,
    installation_key TEXT,
    installation_id  TEXT,
    registration_id  TEXT,
    platform         TEXT NOT NULL,
    push_channel     BLOB NOT NULL,
    channel_key      INTEGER NOT NULL,
    user_id          TEXT,
    tags             TEXT NOT NULL,
    templates        TEXT,
    push_variables   TEXT,
    etag             INTEGER NOT NULL,
    registered_at    REAL NOT NULL,
    expires_at       REAL,
    sibling          INTEGER NOT NULL,
    dead_at          REAL,
    dead_reason      TEXT,
    PRIMARY KEY (hub, shard, ordinal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX device_by_installation ON device (hub, shard, installation_key) WHERE installation_key IS NOT NULL;
CREATE UNIQUE INDEX device_by_registration ON device (hub, shard, registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX device_by_channel ON device (hub, shard, channel_key);
CREATE INDEX device_dead ON device (hub, shard, dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX device_expiry ON device (hub, shard, expires_at) WHERE expires_at IS NOT NULL;

-- Which device an ordinal is of. `device` null: the ordinal is free since `freed_at`, and is given out again a while later.
CREATE TABLE registration (
    hub      INTEGER NOT NULL,
    shard    INTEGER NOT NULL,
    ordinal  INTEGER NOT NULL,
    device   INTEGER,
    template INTEGER,
    freed_at REAL,
    PRIMARY KEY (hub, shard, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX registration_free ON registration (hub, shard, freed_at) WHERE freed_at IS NOT NULL;

-- The index of tags: bitmaps in blocks of 65,536 ordinals, and on top of them changes that are not folded in yet, a row for
-- a tag and 32 neighbouring ordinals (a word). A tag with few members has changes alone. `tag` are 16 bytes of the hash of a
-- tag's key, so that no two tags share an id and no text of a tag outlives its devices. Word -1 marks a tag to be folded.
--
-- What new registrations carry waits in rows of `tag_block` whose `tag` has two bytes (hub/store/decide/tag_log.py): `block`
-- is an ordinal that names the transaction, `bitmap` are its entries.
CREATE TABLE tag_change (
    hub     INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    tag     BLOB NOT NULL,
    word    INTEGER NOT NULL,
    added   INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (hub, shard, tag, word)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_marked ON tag_change (hub, shard, tag) WHERE word = -1;

CREATE TABLE tag_block (
    hub    INTEGER NOT NULL,
    shard  INTEGER NOT NULL,
    tag    BLOB NOT NULL,
    block  INTEGER NOT NULL,
    bitmap BLOB NOT NULL,
    PRIMARY KEY (hub, shard, tag, block)
) STRICT;
