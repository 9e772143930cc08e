"""Dead letters go: dropped by an operator, published, replayed, or past a bound. A body goes with its last letter."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from hub.acceptance import AuditEntry
from hub.store.connection import Connection, Row, Statement
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
HOLD_BODIES = Statement(
    "dead_letter.hold_body",
    "UPDATE dead_letter_body SET digest = digest WHERE digest = :digest",
    columns=(("digest", "bytea"),),
)
"""Another process may be writing a letter with the same body: what comes after this sees that letter, or is seen by it."""
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
    columns=(("queue", "bigint"), ("before", "double precision"), ("slice", "bigint")),
)
OLDEST = Statement(
    "dead_letter.oldest",
    "SELECT queue, n, bytes FROM dead_letter WHERE queue = :queue ORDER BY n LIMIT :slice",
    columns=(("queue", "bigint"), ("slice", "bigint")),
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
            *_drop_bodies(rows),
            audit_write(entries, numbers, queue=queue, now=now),
        ]
    )
    there = {row[0] for row in rows}
    return [n for n in ids if n in there]


def published(connection: Connection, letters: Sequence[tuple[int, int]]) -> None:
    """By queue and number."""
    connection.write_all([(PUBLISHED, letters)])


def mark_replayed(connection: Connection, queue: int, letter_id: int, replay: str, *, now: float) -> bool:
    """Whether the letter was there and had not been accepted by a replay before."""
    return bool(connection.write(REPLAYED, queue=queue, n=letter_id, replay=replay, now=now))


def bound(
    connection: Connection,
    own: Sequence[int],
    all_queues: Sequence[int],
    *,
    before: float,
    max_rows: int,
    max_bytes: int,
) -> bool:
    """Drop a slice of our letters from `before`, then those of ours among the oldest of all beyond the bounds; whether more
    is to go."""
    old = connection.read_many(OLD, [(queue, before, SLICE) for queue in own])[:SLICE]
    if not old:
        old = [(queue, n) for queue, n in _beyond(connection, all_queues, max_rows, max_bytes) if queue in own]
    if not old:
        return False
    forget(connection, old)
    return len(old) == SLICE


def forget(connection: Connection, letters: Sequence[tuple[int, int]]) -> None:
    """Drop letters by queue and number, with the bodies that no other letter has."""
    dropped = connection.update_many(DROP, letters)
    connection.write_all(_drop_bodies(dropped))


def _drop_bodies(dropped: Iterable[Row]) -> list[tuple[Statement, Sequence[Row]]]:
    """Those that no letter has any more."""
    digests = [(digest,) for digest in sorted({row[1] for row in dropped})]
    return [(HOLD_BODIES, digests), (DROP_BODIES, digests)]


def _beyond(connection: Connection, queues: Sequence[int], max_rows: int, max_bytes: int) -> list[tuple[int, int]]:
    kept = usage(connection)
    rows, size = kept.letters - max_rows, kept.bytes - max_bytes
    if rows <= 0 and size <= 0:
        return []
    gone = []
    oldest = connection.read_many(OLDEST, [(queue, SLICE) for queue in queues])
    for of, n, bytes_ in heapq.nsmallest(SLICE, oldest, key=lambda row: int(row[1])):
        if rows <= 0 and size <= 0:
            break
        gone.append((of, n))
        rows, size = rows - 1, size - bytes_
    return gone
