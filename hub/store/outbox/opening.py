"""Rows of work that are open, in queues that are ours still: what a write looks at before it decides."""

from collections.abc import Iterable

from pyroaring import BitMap

from hub.store.connection import Connection, Statement
from hub.store.contracts.outbox import Work
from hub.store.decide.recording import Key, OpenRow
from hub.store.outbox.queues import Queues
from hub.store.rows import counts_of

OPEN_NOTIFICATIONS = Statement(
    "notification.open",
    "SELECT n.queue, n.n, q.fence, n.done, n.counts, n.queue, n.n FROM queue q JOIN notification n ON n.queue = q.queue"
    " WHERE q.owner = :owner AND n.n IN (:keys) AND n.due IS NOT NULL",
    columns=(("n", "bigint"),),
)
"""With its queue's fence. On PostgreSQL FOR SHARE OF q: a claim waits until what is decided from this has committed."""
OPEN_PAGES = Statement(
    "page.open",
    "SELECT p.queue, p.number, q.fence, p.done, p.counts, p.home, p.notification FROM queue q JOIN page p"
    " ON p.queue = q.queue WHERE q.owner = :owner AND p.number IN (:keys) AND p.due IS NOT NULL",
    columns=(("number", "bigint"),),
)
ROW_COLUMNS = (("queue", "bigint"), ("n", "bigint"))
_PAGE_COLUMNS = (
    ("number", "bigint"),
    ("queue", "bigint"),
    ("home", "bigint"),
    ("notification", "bigint"),
    ("hub", "text"),
    ("lane", "bigint"),
    ("service", "text"),
    ("due", "double precision"),
    ("attempt", "bigint"),
    ("ordinals", "bytea"),
)
INSERT_PAGE = Statement(
    "page.insert",
    f"INSERT INTO page ({', '.join(name for name, _ in _PAGE_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in _PAGE_COLUMNS)})",
    columns=_PAGE_COLUMNS,
)


def open_rows(connection: Connection, work: Iterable[Work], queues: Queues) -> dict[Key, OpenRow]:
    """By key; rows that have ended, or whose queue has another owner, are left out."""
    notifications: list[int] = []
    pages: list[int] = []
    for piece in work:
        (pages if piece.number else notifications).append(piece.n)
    found = connection.read_by_keys(OPEN_NOTIFICATIONS, notifications, owner=queues.owner)
    if pages:
        found += connection.read_by_keys(OPEN_PAGES, pages, owner=queues.owner)
    fences = queues.fences
    return {
        (queue, n): OpenRow((home, notification), done, counts_of(counts))
        for queue, n, fence, done, counts, home, notification in found
        if fences.get(queue) == fence
    }


def bytes_of(ordinals: BitMap | None) -> bytes | None:
    return None if ordinals is None else ordinals.serialize()
