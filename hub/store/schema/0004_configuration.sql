-- Under which configuration a thing was decided: one row for each that decided anything, and its number beside that.
CREATE TABLE configuration (
    id       INTEGER PRIMARY KEY,
    revision TEXT NOT NULL,
    hash     TEXT NOT NULL,
    UNIQUE (hash, revision)
) STRICT;
ALTER TABLE notification ADD COLUMN configuration INTEGER REFERENCES configuration;
ALTER TABLE dead_letter ADD COLUMN revision TEXT NOT NULL DEFAULT '';
