-- What is known of each device of a hub that mirrors another one. `key` is `i:` and the id of an installation, or `r:` and that
-- of a single registration, which the other hub calls `there`. A device that was written here waits from `since` on to be
-- written there, and is tried at `due`; `version` tells a write that came while it was on its way. `said` and `print` stand for
-- what the other hub has of it, as a document and as it was listed; both empty: nothing. `at` is when that was made so, and
-- `taken_at` when a list of the other hub changed it here; `ordinals` is the set of its registrations.
CREATE TABLE mirrored (
    hub      INTEGER NOT NULL,
    key      TEXT NOT NULL,
    version  INTEGER NOT NULL,
    due      REAL,
    since    REAL,
    attempt  INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    there    TEXT NOT NULL,
    said     TEXT NOT NULL,
    print    TEXT NOT NULL,
    at       REAL NOT NULL,
    taken_at REAL NOT NULL,
    ordinals BLOB NOT NULL,
    PRIMARY KEY (hub, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX mirrored_due ON mirrored (hub, due) WHERE due IS NOT NULL;
CREATE INDEX mirrored_at ON mirrored (hub, at);
CREATE INDEX mirrored_taken ON mirrored (hub, taken_at) WHERE taken_at > 0;
CREATE INDEX mirrored_there ON mirrored (hub, there) WHERE there <> '';
-- Which process mirrors a hub, and how the lists of the other one went: `listed_began` and `listed_at` are of the last that was
-- read whole, `failed_at` and `failure` of the last that was not, `counts` what became of what it held. `is_leaving`: the hub is
-- mirrored no more, and what is known of its devices is being forgotten.
CREATE TABLE mirror (
    hub          INTEGER NOT NULL,
    name         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    leased_until REAL NOT NULL,
    is_wanted    INTEGER NOT NULL,
    is_leaving   INTEGER NOT NULL,
    listed_began REAL NOT NULL,
    listed_at    REAL NOT NULL,
    failed_at    REAL NOT NULL,
    failure      TEXT NOT NULL,
    counts       TEXT NOT NULL,
    PRIMARY KEY (hub)
) STRICT;
