"""Forgetting what is past its time, in SQL: a slice a transaction, so that others get their turn in between."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from hub.store.first_registry import unindex
from hub.store.tag_index import TagChanges

SLICE = 500
"""Rows that one transaction drops, at most."""

FAILURES = 10_000
"""Failures that one transaction drops, at most: a broadcast may have one for each phone there is."""


def drop_ended(connection: sqlite3.Connection, *, before: float, max_failures: int = FAILURES) -> int:
    """Forget up to a slice of notifications that ended before; how many were looked at, 0 when none is left.

    `max_failures` bounds the failures dropped with the notifications.
    """
    rows = connection.execute("SELECT seq FROM notification WHERE ended_at < ? LIMIT ?", (before, SLICE)).fetchall()
    room = max_failures
    for (seq,) in rows:
        room -= connection.execute(
            "DELETE FROM failure WHERE notification = :seq AND ordinal IN"
            " (SELECT ordinal FROM failure WHERE notification = :seq LIMIT :room)",
            {"seq": seq, "room": room},
        ).rowcount
        if not room:
            break
        connection.execute("DELETE FROM page WHERE notification = ?", (seq,))
        connection.execute("DELETE FROM notification WHERE seq = ?", (seq,))
    return len(rows)


def drop_dead_letters(connection: sqlite3.Connection, *, before: float, keep: int) -> int:
    """Forget up to a slice of dead letters that are older than `before` or beyond the newest `keep`; how many."""
    cursor = connection.execute(
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE at < ? OR id <= (SELECT max(id) - ?"
        " FROM dead_letter) ORDER BY id LIMIT ?)",
        (before, keep, SLICE),
    )
    return cursor.rowcount


def drop_audit(connection: sqlite3.Connection, *, before: float) -> int:
    """Forget up to a slice of what operators did before; how many."""
    cursor = connection.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT ?)", (before, SLICE)
    )
    return cursor.rowcount


def drop_dead(connection: sqlite3.Connection, *, before: float) -> int:
    """Forget up to a slice of registrations whose push channel died before, and documents left without any; how many."""
    rows = connection.execute(
        "SELECT ordinal, hub, installation_id FROM registration WHERE dead_at < ? LIMIT ?", (before, SLICE)
    ).fetchall()
    _forget(connection, rows)
    return len(rows)


def drop_expired(connection: sqlite3.Connection, *, now: float) -> int:
    """Forget up to a slice of registrations that have expired, and documents left without any; how many."""
    rows = connection.execute(
        "SELECT ordinal, hub, installation_id, template_name, platform, tags FROM registration"
        " WHERE expires_at <= ? LIMIT ?",
        (now, SLICE),
    ).fetchall()
    by_hub: dict[int, TagChanges] = defaultdict(TagChanges)
    for ordinal, hub, _, template_name, platform, tags in rows:
        unindex(by_hub[hub], ordinal, template_name, platform, tags)
    for hub, changes in by_hub.items():
        changes.apply(connection, hub)
    _forget(connection, [row[:3] for row in rows])
    return len(rows)


def _forget(connection: sqlite3.Connection, rows: Sequence[tuple[int, int, str | None]]) -> None:
    """Delete registrations, given as (ordinal, hub, installation id), that the tag index does not hold any more."""
    connection.executemany("DELETE FROM registration WHERE ordinal = ?", [(ordinal,) for ordinal, _, _ in rows])
    connection.executemany(
        "DELETE FROM installation WHERE hub = :hub AND id = :id AND NOT EXISTS"
        " (SELECT 1 FROM registration WHERE hub = :hub AND installation_id = :id)",
        [{"hub": hub, "id": id_} for hub, id_ in {(hub, id_) for _, hub, id_ in rows if id_ is not None}],
    )
