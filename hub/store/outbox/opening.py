"""Rows of work that are open, in queues that are ours still: what a write looks at before it decides."""

from collections.abc import Collection, Iterable

from pyroaring import BitMap

from hub.store.connection import Connection, Statement
from hub.store.contracts.outbox import Work
from hub.store.decide.recording import Counts, Key, OpenRow
from hub.store.outbox.queues import Queues
from hub.store.rows import counts_of

OPEN_NOTIFICATIONS = Statement(
    "notification.open",
    "SELECT queue, n, done, counts, queue, n FROM notification WHERE n IN (:keys) AND due IS NOT NULL",
    columns=(("n", "bigint"),),
)
"""Rows of other queues may have the same numbers; a condition on the queue costs a plan a transaction."""
OPEN_PAGES = Statement(
    "page.open",
    "SELECT queue, number, done, counts, home, notification FROM page WHERE number IN (:keys) AND due IS NOT NULL",
    columns=(("number", "bigint"),),
)
_NOTHING: Counts = {}

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


def open_rows(
    connection: Connection, work: Iterable[Work], queues: Queues, *, trusted: Collection[Key] = ()
) -> dict[Key, OpenRow]:
    """By key; rows that have ended, or whose queue has another owner, are left out.

    Notifications that are `trusted` are not read: nothing was recorded of them when they were taken, and what is written
    then looks whether that is so still.
    """
    ours = queues.still_ours(connection)
    rows: dict[Key, OpenRow] = {}
    notifications: list[int] = []
    pages: list[int] = []
    for piece in work:
        key = (piece.queue, piece.n)
        if piece.queue not in ours:
            continue
        if piece.number:
            pages.append(piece.n)
        elif key in trusted:
            rows[key] = OpenRow(key, 0, _NOTHING)
        else:
            notifications.append(piece.n)
    found = connection.read_by_keys(OPEN_NOTIFICATIONS, notifications)
    if pages:
        found += connection.read_by_keys(OPEN_PAGES, pages)
    for queue, n, done, counts, home, notification in found:
        if queue in ours:
            rows[queue, n] = OpenRow((home, notification), done, counts_of(counts))
    return rows


def bytes_of(ordinals: BitMap | None) -> bytes | None:
    return None if ordinals is None else ordinals.serialize()
