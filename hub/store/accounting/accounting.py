"""The contract `Accounting` over a database: reads alone, a slice of a queue's rows at a time, by their primary key."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hub.books import Discrepancy, Unaccounted
from hub.store.connection import Connection, Database, Row, Statement
from hub.store.contracts.accounting import AccountPlace, AccountStep
from hub.store.decide.recording import Counts, added
from hub.store.outbox import summing
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import counts_of

SLICE = 2000
"""Rows that one step looks at, at most."""
MOST_SUMMED = 50
"""Notifications with pages whose counts are added up in one step: a broadcast may have ten thousand pages."""
MOST_FOUND = 100
"""Rows that one step names."""

_KEY = (("queue", "bigint"), ("n", "bigint"))
_OPEN_STATES = "('Enqueued', 'Scheduled', 'Held', 'Processing')"
_OPEN_PAGE = "EXISTS (SELECT 1 FROM page p WHERE p.home = n.queue AND p.notification = n.n AND p.due IS NOT NULL)"
_LOOKED_AT = (
    "SELECT n.queue AS queue, n.n AS n, n.id AS id, CASE"
    f" WHEN n.ended_at IS NULL AND n.state NOT IN {_OPEN_STATES} THEN 'state'"
    f" WHEN n.ended_at IS NOT NULL AND n.state IN {_OPEN_STATES} THEN 'state'"
    f" WHEN n.ended_at IS NULL AND n.due IS NULL AND (n.state <> 'Processing' OR NOT {_OPEN_PAGE}) THEN 'no_work'"
    f" WHEN n.ended_at IS NOT NULL AND (n.due IS NOT NULL OR {_OPEN_PAGE}) THEN 'work_after_end'"
    " END AS kind FROM notification n"
)
LAST = Statement(
    "accounting.last",
    "SELECT max(n) FROM (SELECT n FROM notification WHERE queue = :queue AND n > :after ORDER BY n LIMIT :slice) AS slice",
)
COUNTED = Statement(
    "accounting.counted",
    "SELECT count(*), count(ended_at) FROM notification WHERE queue = :queue AND n > :after AND n <= :last",
)
BROKEN = Statement(
    "accounting.broken",
    f"SELECT queue, n, id, kind FROM ({_LOOKED_AT} WHERE n.queue = :queue AND n.n > :after AND n.n <= :last) AS looked_at"
    " WHERE kind IS NOT NULL ORDER BY n LIMIT :most",
)
STILL_BROKEN = Statement(
    "accounting.still_broken",
    f"SELECT queue, n, id, kind FROM ({_LOOKED_AT} WHERE n.queue = :queue AND n.n = :n) AS looked_at"
    " WHERE kind IS NOT NULL",
    columns=_KEY,
)
# By the state: SQLite would look through all that have ended, if it were asked for `ended_at`.
_HAS_PAGES = (
    f"n.state NOT IN {_OPEN_STATES} AND EXISTS (SELECT 1 FROM page p WHERE p.home = n.queue AND p.notification = n.n)"
)
SUMMED = Statement(
    "accounting.summed",
    "SELECT n.queue, n.n, n.id, n.counts FROM notification n WHERE n.queue = :queue AND n.n > :after AND n.n <= :last"
    f" AND {_HAS_PAGES} ORDER BY n.n LIMIT :most",
)
STILL_SUMMED = Statement(
    "accounting.still_summed",
    f"SELECT n.queue, n.n, n.id, n.counts FROM notification n WHERE n.queue = :queue AND n.n = :n AND {_HAS_PAGES}",
    columns=_KEY,
)
PAGES = Statement(
    "accounting.pages",
    "SELECT count(*), max(number) FROM (SELECT number FROM page"
    " WHERE queue = :queue AND number > :after ORDER BY number LIMIT :slice) AS slice",
)
_ORPHAN = "NOT EXISTS (SELECT 1 FROM notification n WHERE n.queue = p.home AND n.n = p.notification)"
ORPHANS = Statement(
    "accounting.orphans",
    "SELECT p.queue, p.number FROM page p WHERE p.queue = :queue AND p.number > :after AND p.number <= :last"
    f" AND {_ORPHAN} ORDER BY p.number LIMIT :most",
)
STILL_ORPHANS = Statement(
    "accounting.still_orphans",
    f"SELECT p.queue, p.number FROM page p WHERE p.queue = :queue AND p.number = :n AND {_ORPHAN}",
    columns=_KEY,
)


class SqlAccounting:
    """One process of those that share the database looks, the one that also does what is done once for all."""

    def __init__(self, database: Database, queues: SqlQueues) -> None:
        self._database = database
        self._queues = queues

    async def account(self, after: AccountPlace) -> AccountStep | None:
        if not self._queues.leads:
            return None
        queues = self._queues.all_queues
        return await self._database.read(lambda connection: look(connection, queues, after))

    async def account_again(self, found: Sequence[Unaccounted]) -> Sequence[Unaccounted]:
        return await self._database.read(lambda connection: look_again(connection, found))


def look(connection: Connection, queues: Sequence[int], after: AccountPlace) -> AccountStep:
    """The next rows, of as many queues as a slice has room for."""
    notifications = ended = rows = 0
    found: list[Unaccounted] = []
    place: AccountPlace | None = after if after.queue in queues else AccountPlace(after.is_page, queues[0])
    while place is not None and rows < SLICE and len(found) < MOST_FOUND:
        part = (_pages if place.is_page else _notifications)(connection, place, SLICE - rows)
        rows += part.rows
        notifications, ended = notifications + part.notifications, ended + part.ended
        found += part.found
        place = _behind(queues, place) if part.last is None else place._replace(number=part.last)
    return AccountStep(notifications=notifications, ended=ended, found=found, next=place)


def look_again(connection: Connection, found: Sequence[Unaccounted]) -> list[Unaccounted]:
    """Those that are still so."""
    keys = [(each.queue, each.number) for each in found]
    of_pages = [key for key, each in zip(keys, found, strict=True) if each.kind is Discrepancy.NO_NOTIFICATION]
    others = [key for key, each in zip(keys, found, strict=True) if each.kind is not Discrepancy.NO_NOTIFICATION]
    now = {
        *_orphans(connection.read_many(STILL_ORPHANS, of_pages)),
        *_named(connection.read_many(STILL_BROKEN, others)),
        *_not_summed(connection, connection.read_many(STILL_SUMMED, others)),
    }
    return [each for each in found if each in now]


class _Part(NamedTuple):
    """Rows of one queue; `last` is the number of the last one, None where none is left."""

    rows: int
    notifications: int
    ended: int
    found: Sequence[Unaccounted]
    last: int | None


_NOTHING = _Part(0, 0, 0, (), None)


def _notifications(connection: Connection, place: AccountPlace, room: int) -> _Part:
    ((last,),) = connection.read(LAST, queue=place.queue, after=place.number, slice=room)
    if last is None:
        return _NOTHING
    at = {"queue": place.queue, "after": place.number}
    summed = connection.read(SUMMED, last=last, most=MOST_SUMMED, **at)
    if len(summed) == MOST_SUMMED:  # what is behind comes with the next part
        last = summed[-1][1]
    ((rows, ended),) = connection.read(COUNTED, last=last, **at)
    broken = connection.read(BROKEN, last=last, most=MOST_FOUND, **at)
    return _Part(rows, rows, ended, [*_named(broken), *_not_summed(connection, summed)], last)


def _pages(connection: Connection, place: AccountPlace, room: int) -> _Part:
    rows, last = connection.read(PAGES, queue=place.queue, after=place.number, slice=room)[0]
    if not rows:
        return _NOTHING
    orphans = connection.read(ORPHANS, queue=place.queue, after=place.number, last=last, most=MOST_FOUND)
    return _Part(rows, 0, 0, list(_orphans(orphans)), last)


def _behind(queues: Sequence[int], place: AccountPlace) -> AccountPlace | None:
    """Where to go on when a queue has no more rows."""
    further = [queue for queue in queues if queue > place.queue]
    if further:
        return AccountPlace(place.is_page, further[0])
    return None if place.is_page else AccountPlace(True, queues[0])


def _orphans(rows: Sequence[Row]) -> Iterator[Unaccounted]:
    for queue, number in rows:
        yield Unaccounted(Discrepancy.NO_NOTIFICATION, queue, number)


def _named(rows: Sequence[Row]) -> Iterator[Unaccounted]:
    for queue, n, id_, kind in rows:
        yield Unaccounted(Discrepancy(kind), queue, n, id_.hex())


def _not_summed(connection: Connection, notifications: Sequence[Row]) -> Iterator[Unaccounted]:
    """Those that lack outcomes which their pages have."""
    pages: dict[tuple[int, int], Counts] = {}
    for home, n, text, _ in connection.read_many(summing.COUNTS, [(queue, n) for queue, n, _, _ in notifications]):
        if text:
            pages[home, n] = added(pages.get((home, n), {}), counts_of(text))
    for queue, n, id_, text in notifications:
        whole = counts_of(text) if text else {}
        if any(
            count > whole.get(platform, {}).get(outcome, 0)
            for platform, by_outcome in pages.get((queue, n), {}).items()
            for outcome, count in by_outcome.items()
        ):
            yield Unaccounted(Discrepancy.COUNTS, queue, n, id_.hex())
