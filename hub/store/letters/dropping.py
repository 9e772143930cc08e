"""Dead letters go: dropped by an operator, published, replayed, or past a bound. A body goes with its last letter."""

from collections.abc import Iterator, Sequence

from hub.acceptance import AuditEntry
from hub.store.connection import Connection, Statement
from hub.store.letters.reading import usage
from hub.store.telemetry.auditing import audit_write

SLICE = 500
"""Letters that one transaction drops for a bound, at most."""

DROP = Statement(
    "dead_letter.drop",
    "DELETE FROM dead_letter WHERE queue = :queue AND n = :n RETURNING n, digest, source, event_id, rule, reason",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
DROP_BODIES = Statement(
    "dead_letter.drop_body",
    "DELETE FROM dead_letter_body WHERE digest = :digest"
    " AND NOT EXISTS (SELECT 1 FROM dead_letter t WHERE t.digest = :digest)",
    columns=(("digest", "bytea"),),
)
PUBLISHED = Statement(
    "dead_letter.published",
    "UPDATE dead_letter SET relay = NULL WHERE queue = :queue AND n = :n",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
REPLAYED = Statement(
    "dead_letter.replayed",
    "UPDATE dead_letter SET replayed_at = :now, replay = :replay"
    " WHERE queue = :queue AND n = :n AND (replay <> 'accepted') RETURNING n",
)
OLD = Statement(
    "dead_letter.old",
    "SELECT queue, n FROM dead_letter WHERE queue = :queue AND at < :before ORDER BY at LIMIT :slice",
)
OLDEST = Statement(
    "dead_letter.oldest",
    "SELECT queue, n, bytes FROM dead_letter WHERE queue = :queue ORDER BY n LIMIT :slice",
)


def drop(
    connection: Connection, queue: int, ids: Sequence[int], numbers: Iterator[int], *, actor: str, now: float
) -> list[int]:
    """Forget these, and write an audit row for each that was there; the ids of those, in the order given."""
    rows = connection.update_many(DROP, [(queue, n) for n in ids])
    entries = [
        AuditEntry(
            actor=actor,
            action="dead_letter.drop",
            target=str(n),
            detail=f"source {source}, event {event_id}, rule {rule or '-'}, {reason}",
        )
        for n, _, source, event_id, rule, reason in rows
    ]
    connection.write_all(
        [
            (DROP_BODIES, [(digest,) for digest in {row[1] for row in rows}]),
            audit_write(entries, numbers, queue=queue, now=now),
        ]
    )
    there = {row[0] for row in rows}
    return [n for n in ids if n in there]


def published(connection: Connection, queue: int, ids: Sequence[int]) -> None:
    connection.write_all([(PUBLISHED, [(queue, n) for n in ids])])


def mark_replayed(connection: Connection, queue: int, letter_id: int, replay: str, *, now: float) -> bool:
    """Whether the letter was there and had not been accepted by a replay before."""
    return bool(connection.write(REPLAYED, queue=queue, n=letter_id, replay=replay, now=now))


def bound(connection: Connection, queue: int, *, before: float, max_rows: int, max_bytes: int) -> bool:
    """Drop a slice of the letters from `before`, then of the oldest beyond the bounds; whether more is to go."""
    old = connection.read(OLD, queue=queue, before=before, slice=SLICE)
    if not old:
        old = _beyond(connection, queue, max_rows, max_bytes)
    if not old:
        return False
    forget(connection, old)
    return len(old) == SLICE


def forget(connection: Connection, letters: Sequence[tuple[int, int]]) -> None:
    """Drop letters by queue and number, with the bodies that no other letter has."""
    dropped = connection.update_many(DROP, letters)
    connection.write_all([(DROP_BODIES, [(digest,) for digest in {row[1] for row in dropped}])])


def _beyond(connection: Connection, queue: int, max_rows: int, max_bytes: int) -> list[tuple[int, int]]:
    kept = usage(connection, queue)
    rows, size = kept.letters - max_rows, kept.bytes - max_bytes
    if rows <= 0 and size <= 0:
        return []
    gone = []
    for of, n, bytes_ in connection.read(OLDEST, queue=queue, slice=SLICE):
        if rows <= 0 and size <= 0:
            break
        gone.append((of, n))
        rows, size = rows - 1, size - bytes_
    return gone
