"""States of flow control that say nothing any more, forgotten by the owner of their queue; and a bound on all of them."""

from collections.abc import Sequence

from hub.store.connection import Connection, Statement

EVERY = 10.0
"""Seconds between two looks."""
MOST = 5_000_000
"""States of a store: beyond, those that would end first are forgotten early, and their keys begin anew."""
BOUND_EVERY = 300.0
"""Seconds between two looks whether there are more: this one reads as many rows as there may be."""
SLICE = 2000
SLICES = 20
"""Slices that are forgotten in a look, so that a flood of keys goes as fast as it came."""

_QUEUE = (("queue", "bigint"),)
PAST = Statement(
    "flow.past",
    "SELECT queue FROM flow WHERE queue = :queue AND due < :before ORDER BY due LIMIT 1",
    columns=(*_QUEUE, ("before", "double precision")),
)
BEYOND = Statement(
    "flow.beyond",
    "SELECT due FROM flow WHERE queue = :queue AND due IS NOT NULL ORDER BY due DESC LIMIT 1 OFFSET :most",
)
COUNT = Statement("flow.count", "SELECT count(*) FROM flow WHERE queue IN (SELECT queue FROM queue)")
FORGET = Statement(
    "flow.forget",
    "DELETE FROM flow WHERE queue = :queue AND due < :before AND key IN"
    " (SELECT key FROM flow WHERE queue = :queue AND due < :before ORDER BY due LIMIT :slice) RETURNING queue",
)


def past(connection: Connection, queues: Sequence[int], *, before: float) -> list[int]:
    """Those of the queues that have a state which ended before a time, by the clock of the states."""
    return [queue for (queue,) in connection.read_many(PAST, [(queue, before) for queue in queues])]


def forget(connection: Connection, *, queue: int, before: float) -> int:
    """Forget a slice of those; how many."""
    return len(connection.write(FORGET, queue=queue, before=before, slice=SLICE))


def bound(connection: Connection, *, queue: int, queues: int) -> float | None:
    """Before which time states end that are beyond a queue's share of the bound; None: there are fewer."""
    rows = connection.read(BEYOND, queue=queue, most=MOST // queues)
    return rows[0][0] if rows else None
