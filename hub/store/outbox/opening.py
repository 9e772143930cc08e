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
    "SELECT queue, n, done, counts, queue, n FROM notification WHERE queue = :queue AND n = :n AND due IS NOT NULL",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
OPEN_PAGES = Statement(
    "page.open",
    "SELECT queue, number, done, counts, home, notification FROM page"
    " WHERE queue = :queue AND number = :n AND due IS NOT NULL",
    columns=(("queue", "bigint"), ("n", "bigint")),
)
_NOTHING: Counts = {}

ROW_COLUMNS = (("queue", "bigint"), ("n", "bigint"))
PAGE_COLUMNS = (
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
    ("quiet_until", "double precision"),
)
INSERT_PAGE = Statement(
    "page.insert",
    f"INSERT INTO page ({', '.join(name for name, _ in PAGE_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name, _ in PAGE_COLUMNS)})",
    columns=PAGE_COLUMNS,
)


def open_rows(
    connection: Connection, work: Iterable[Work], queues: Queues, *, trusted: Collection[Key] = ()
) -> dict[Key, OpenRow]:
    """By key; rows that have ended, or whose queue has another owner, are left out.

    Notifications that are `trusted` are not read: nothing was recorded of them when they were taken, and what is written
    then looks whether that is so still.
    """
    work = list(work)
    ours = queues.still_ours(connection, {piece.queue for piece in work})
    rows: dict[Key, OpenRow] = {}
    notifications: list[Key] = []
    pages: list[Key] = []
    for piece in work:
        key = (piece.queue, piece.n)
        if piece.queue not in ours:
            continue
        if piece.number:
            pages.append(key)
        elif key in trusted:
            rows[key] = OpenRow(key, 0, _NOTHING)
        else:
            notifications.append(key)
    found = connection.read_many(OPEN_NOTIFICATIONS, list(dict.fromkeys(notifications))) if notifications else []
    if pages:
        found += connection.read_many(OPEN_PAGES, list(dict.fromkeys(pages)))
    for queue, n, done, counts, home, notification in found:
        rows[queue, n] = OpenRow((home, notification), done, counts_of(counts))
    return rows


def bytes_of(ordinals: BitMap | None) -> bytes | None:
    return None if ordinals is None else ordinals.serialize()
