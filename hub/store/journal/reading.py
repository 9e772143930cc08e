"""The journal by event."""

import math
from collections.abc import Sequence

from hub.acceptance import ConfigurationVersion
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.journal import KeptEvent
from hub.store.contracts.listing import ListPage
from hub.store.outbox.numbering import stamp
from hub.store.telemetry.listing import listing, part

_LAST = 2**62
_APART = 60.0
"""Seconds by which the numbers of a queue may be ahead of the time, at most."""
_COLUMNS = (
    "t.n, t.queue, t.at, t.source, t.event_id, t.outcome, t.detail, t.content, t.trace, c.revision, c.hash, t.flow"
)
_SOURCE = "journal t LEFT JOIN configuration c ON c.id = t.configuration"

BY_EVENT = Statement(
    "journal.by_event",
    f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE t.event_id = :event_id AND (:source = '' OR t.source = :source)"
    " ORDER BY t.at DESC, t.n DESC LIMIT :limit",
)
"""An id of an event is looked for in all queues."""
EVENTS = listing(
    "journal",
    _COLUMNS,
    _SOURCE,
    where=" AND (:source = '' OR t.source = :source) AND (:outcome = '' OR t.outcome = :outcome) AND t.at <= :until",
    filters={"source": "text", "outcome": "text", "until": "double precision"},
)


NEAREST = Statement(
    "journal.nearest",
    "SELECT t.n, t.at FROM journal t WHERE t.queue = :queue AND t.n <= :n ORDER BY t.n DESC LIMIT 1",
)


def by_event(connection: Connection, event_id: str, *, source: str, limit: int) -> list[KeptEvent]:
    """Newest first; of any source where `source` is empty."""
    return [_event(row) for row in connection.read(BY_EVENT, event_id=event_id, source=source, limit=limit)]


def events(
    connection: Connection,
    queues: Sequence[int],
    *,
    source: str,
    outcome: str,
    until: float | None,
    after: str,
    limit: int,
) -> ListPage[KeptEvent]:
    """Newest first. Raises: InvalidRequestError: `after` is no place of this list."""
    if until is not None and not after:
        after = str(_number_at(connection, queues[0], until) + 1 if len(queues) == 1 else stamp(until + _APART))
    rows, following = part(
        connection,
        EVENTS,
        queues=queues,
        after=after,
        limit=limit,
        source=source,
        outcome=outcome,
        until=math.inf if until is None else until,
    )
    return ListPage(items=[_event(row) for row in rows], next=following)


def _number_at(connection: Connection, queue: int, until: float) -> int:
    """A number that parts the rows of up to `until` from later ones. Numbers grow with time, so a search by halves finds
    it in some thirty reads, where an index of times would cost each event a write."""
    newest = connection.read(NEAREST, queue=queue, n=_LAST)
    below, above = 0, newest[0][0] + 1 if newest else 1
    while above - below > 1:
        middle = (below + above) // 2
        nearest = connection.read(NEAREST, queue=queue, n=middle)
        if not nearest or nearest[0][1] <= until:
            below = middle
        else:
            above = middle
    return below


def _event(row: Row) -> KeptEvent:
    n, _, at, source, event_id, outcome, detail, content, trace, revision, hash_, flow = row
    return KeptEvent(
        id=n,
        at=at,
        source=source,
        event_id=event_id,
        outcome=outcome,
        detail=detail.encode(),
        content=content,
        trace=trace,
        configuration=ConfigurationVersion(revision=revision or "", hash=hash_ or ""),
        flow=flow or "",
    )
