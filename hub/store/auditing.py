"""The rows that say who changed what, in SQL; each function works inside the transaction of the change."""

import sqlite3
from collections.abc import Iterable, Sequence

from hub.acceptance import AuditEntry


def insert_audit(connection: sqlite3.Connection, entries: Iterable[AuditEntry], *, now: float) -> None:
    connection.executemany(
        "INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?)",
        [(now, entry.actor, entry.action, entry.target, entry.detail) for entry in entries],
    )


def drop_dead_letters(connection: sqlite3.Connection, ids: Sequence[int], *, actor: str, now: float) -> list[int]:
    """Forget these dead letters, and write a row for each that was there; the ids of those."""
    dropped: list[int] = []
    entries: list[AuditEntry] = []
    for letter in ids:
        row = connection.execute(
            "DELETE FROM dead_letter WHERE id = ? RETURNING source, event_id, rule, reason", (letter,)
        ).fetchone()
        if row is not None:
            source, event_id, rule, reason = row
            detail = f"source {source}, event {event_id}, rule {rule or '-'}, {reason}"
            entries.append(AuditEntry(actor=actor, action="dead_letter.drop", target=str(letter), detail=detail))
            dropped.append(letter)
    insert_audit(connection, entries, now=now)
    return dropped
