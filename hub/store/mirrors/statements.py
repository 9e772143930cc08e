"""The statements of what is known of mirrored devices."""

from typing import Final

from hub.store.connection import Statement

SLICE: Final = 5000
"""Rows that one transaction forgets or makes, at most."""

_KEY = (("hub", "bigint"), ("key", "text"))
_KNOWN = "key, version, since, attempt, reason, there, said, print, at"
"""What `MirroredDevice` is read from."""

MARK = Statement(
    "mirrored.mark",
    "INSERT INTO mirrored (hub, key, version, due, since, attempt, reason, there, said, print, at, taken_at, ordinals)"
    " VALUES (:hub, :key, 1, :now, :now, 0, '', '', '', '', 0, 0, :ordinals) ON CONFLICT (hub, key) DO UPDATE SET"
    " version = mirrored.version + 1, due = excluded.due, since = coalesce(mirrored.since, excluded.since), attempt = 0,"
    " reason = '', ordinals = excluded.ordinals",
    columns=(*_KEY, ("now", "double precision"), ("ordinals", "bytea")),
)
SEED = Statement(
    "mirrored.seed",
    "INSERT INTO mirrored (hub, key, version, due, since, attempt, reason, there, said, print, at, taken_at, ordinals)"
    " SELECT hub, key, 1, :now, :now, 0, '', '', '', '', 0, 0, :none FROM"
    " (SELECT d.hub AS hub, CASE WHEN d.installation_key IS NULL THEN 'r:' || d.registration_id"
    " ELSE 'i:' || coalesce(d.installation_id, d.installation_key) END AS key FROM device d"
    " WHERE d.hub = :hub AND d.shard = :shard AND d.dead_at IS NULL"
    " AND (d.expires_at IS NULL OR d.expires_at > :now)"
    " AND (d.installation_key IS NULL) <> (d.registration_id IS NULL)) AS here"
    " WHERE NOT EXISTS (SELECT 1 FROM mirrored m WHERE m.hub = here.hub AND m.key = here.key)"
    " LIMIT :slice ON CONFLICT (hub, key) DO NOTHING RETURNING key",
)
DUE = Statement(
    "mirrored.due",
    f"SELECT {_KNOWN} FROM mirrored WHERE hub = :hub AND due <= :now ORDER BY due LIMIT :limit",
)
BY_KEY = Statement("mirrored.by_key", f"SELECT {_KNOWN} FROM mirrored WHERE hub = :hub AND key IN (:keys)", (_KEY[1],))
BY_ID_THERE = Statement(
    "mirrored.by_id_there",
    f"SELECT {_KNOWN} FROM mirrored WHERE hub = :hub AND there <> '' AND there IN (:keys)",
    (("there", "text"),),
)
BEFORE = Statement(
    "mirrored.before",
    f"SELECT {_KNOWN} FROM mirrored WHERE hub = :hub AND key > :after AND at < :before AND due IS NULL"
    " ORDER BY key LIMIT :limit",
)
NAME = Statement("mirrored.name", "UPDATE mirrored SET there = :there WHERE hub = :hub AND key = :key")
WRITTEN = Statement(
    "mirrored.written",
    "UPDATE mirrored SET due = CASE WHEN version = :version THEN NULL ELSE due END,"
    " since = CASE WHEN version = :version THEN NULL ELSE since END, attempt = 0, reason = '', there = :there,"
    " said = :said, print = '', at = :now WHERE hub = :hub AND key = :key",
    columns=(
        ("version", "bigint"),
        ("there", "text"),
        ("said", "text"),
        ("now", "double precision"),
        *_KEY,
    ),
)
KEYS = Statement(
    "mirrored.keys",
    "SELECT key FROM mirrored WHERE hub = :hub AND key > :after ORDER BY key LIMIT :limit",
)
REWRITE = Statement(
    "mirrored.rewrite",
    "UPDATE mirrored SET version = version + 1, due = :now, since = coalesce(since, :now), attempt = 0, reason = ''"
    " WHERE hub = :hub AND key = :key",
    columns=(("now", "double precision"), *_KEY),
)
POSTPONE = Statement(
    "mirrored.postpone",
    "UPDATE mirrored SET due = :due, attempt = attempt + 1, reason = :reason"
    " WHERE hub = :hub AND key = :key AND due IS NOT NULL",
)
BACKLOG = Statement(
    "mirrored.backlog",
    "SELECT count(*), count(CASE WHEN attempt > 0 THEN 1 END), min(since), max(reason) FROM mirrored"
    " WHERE hub = :hub AND due IS NOT NULL",
)
FOUND = Statement(
    "mirrored.found",
    "INSERT INTO mirrored (hub, key, version, due, since, attempt, reason, there, said, print, at, taken_at, ordinals)"
    " VALUES (:hub, :key, 1, :due, :due, 0, '', :there, :said, :print, :now, :taken_at, :ordinals)"
    " ON CONFLICT (hub, key) DO UPDATE SET"
    " version = CASE WHEN excluded.due IS NULL THEN mirrored.version ELSE mirrored.version + 1 END,"
    " due = coalesce(mirrored.due, excluded.due), since = coalesce(mirrored.since, excluded.since),"
    " there = excluded.there, said = excluded.said, print = excluded.print,"
    " at = excluded.at, taken_at = CASE WHEN excluded.taken_at > 0 THEN excluded.taken_at ELSE mirrored.taken_at END,"
    " ordinals = CASE WHEN excluded.taken_at > 0 THEN excluded.ordinals ELSE mirrored.ordinals END",
    columns=(
        *_KEY,
        ("due", "double precision"),
        ("there", "text"),
        ("said", "text"),
        ("print", "text"),
        ("now", "double precision"),
        ("taken_at", "double precision"),
        ("ordinals", "bytea"),
    ),
)
DROP = Statement(
    "mirrored.drop",
    "DELETE FROM mirrored WHERE hub = :hub AND key = :key AND due IS NULL AND at < :began AND said = ''",
    columns=(*_KEY, ("began", "double precision")),
)
FORGET = Statement(
    "mirrored.forget",
    "DELETE FROM mirrored WHERE hub = :hub AND key IN (SELECT key FROM mirrored WHERE hub = :hub LIMIT :slice)"
    " RETURNING key",
)
NEWER_HERE = Statement(
    "mirrored.newer_here",
    "SELECT ordinals FROM mirrored WHERE hub = :hub AND due IS NOT NULL UNION ALL"
    " SELECT ordinals FROM mirrored WHERE hub = :hub AND at >= :since AND taken_at < :since AND due IS NULL",
)
NEWER_THERE = Statement(
    "mirrored.newer_there",
    "SELECT ordinals FROM mirrored WHERE hub = :hub AND taken_at > 0 AND taken_at >= :since",
)

_STATE = "name, listed_began, listed_at, failed_at, failure, is_wanted, counts, is_leaving, hub"
BEGIN = Statement(
    "mirror.begin",
    "INSERT INTO mirror (hub, name, owner, leased_until, is_wanted, is_leaving, listed_began, listed_at, failed_at,"
    " failure, counts) VALUES (:hub, :name, '', 0, 0, 0, 0, 0, 0, '', '{}') ON CONFLICT (hub) DO NOTHING",
)
HOLD = Statement(
    "mirror.hold",
    "UPDATE mirror SET owner = :owner, leased_until = :until WHERE hub = :hub AND is_leaving = 0"
    f" AND (owner = :owner OR leased_until <= :now) RETURNING {_STATE}",
)
RELEASE = Statement("mirror.release", "UPDATE mirror SET leased_until = 0 WHERE hub = :hub AND owner = :owner")
WANT = Statement(
    "mirror.want",
    "UPDATE mirror SET is_wanted = CASE WHEN is_wanted > :wanted THEN is_wanted ELSE :wanted END WHERE hub = :hub",
)
BEGIN_LIST = Statement("mirror.begin_list", "UPDATE mirror SET is_wanted = 0 WHERE hub = :hub")
STATES = Statement("mirror.states", f"SELECT {_STATE} FROM mirror ORDER BY hub")
LEAVE = Statement("mirror.leave", "UPDATE mirror SET is_leaving = 1 WHERE hub = :hub")
END = Statement("mirror.end", "DELETE FROM mirror WHERE hub = :hub AND is_leaving = 1")
LISTED = Statement(
    "mirror.listed",
    "UPDATE mirror SET listed_began = :began, listed_at = :now, failure = '', counts = :counts WHERE hub = :hub",
)
FAILED = Statement("mirror.failed", "UPDATE mirror SET failed_at = :now, failure = :failure WHERE hub = :hub")
# What lies ahead was written by a clock that was set back since.
AHEAD = (
    Statement(
        "mirror.ahead",
        "UPDATE mirror SET listed_began = 0, listed_at = 0, failed_at = 0 WHERE hub = :hub"
        " AND (listed_at > :ahead OR failed_at > :ahead)",
    ),
    Statement(
        "mirrored.due_ahead",
        "UPDATE mirrored SET due = :now, since = :now WHERE hub = :hub AND due > :ahead AND attempt = 0",
    ),
    Statement("mirrored.at_ahead", "UPDATE mirrored SET at = 0 WHERE hub = :hub AND at > :ahead"),
    Statement(
        "mirrored.taken_ahead",
        "UPDATE mirrored SET taken_at = :now WHERE hub = :hub AND taken_at > 0 AND taken_at > :ahead",
    ),
)
