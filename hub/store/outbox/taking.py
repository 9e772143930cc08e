"""Work that is due, read from the index by queue, lane and service: a read touches rows of the services it asks for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pyroaring import BitMap

from hub.notification import Notification
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Work
from hub.store.outbox.in_hand import START, Candidate, InHand, Look, Place
from hub.store.rows import BROADCAST, LANE_OF, NOTIFICATION, SINGLE, notification_of, service_of

DUE_KEYS = (
    ("queue", "bigint"),
    ("lane", "bigint"),
    ("service", "text"),
    ("now", "double precision"),
    ("due", "double precision"),
    ("n", "bigint"),
    ("limit", "bigint"),
)
DUE_NOTIFICATIONS = Statement(
    "notification.due",
    "SELECT due, n, queue, lane, service FROM notification"
    " WHERE queue = :queue AND lane = :lane AND service = :service AND due <= :now AND due >= :due"
    " AND (due > :due OR n > :n) ORDER BY due, n LIMIT :limit",
    columns=DUE_KEYS,
)
DUE_PAGES = Statement(
    "page.due",
    "SELECT due, number, queue, lane, service FROM page"
    " WHERE queue = :queue AND lane = :lane AND service = :service AND due <= :now AND due >= :due"
    " AND (due > :due OR number > :n) ORDER BY due, number LIMIT :limit",
    columns=DUE_KEYS,
)
_ROW = (("queue", "bigint"), ("n", "bigint"))
NOTIFICATIONS = Statement(
    "notification.work",
    f"SELECT n.queue, n.n, n.lane, n.service, n.due, n.deferred, n.done, n.again, n.ordinals, n.accepted_at, {NOTIFICATION}"
    " FROM notification n WHERE n.queue = :queue AND n.n = :n AND n.due IS NOT NULL",
    columns=_ROW,
)
PAGES = Statement(
    "page.work",
    "SELECT p.queue, p.number, p.lane, p.service, p.due, p.deferred, p.done, p.again, p.ordinals, n.accepted_at, p.attempt,"
    f" p.home, p.notification, p.quiet_until, {NOTIFICATION}"
    " FROM page p JOIN notification n ON n.queue = p.home AND n.n = p.notification"
    " WHERE p.queue = :queue AND p.number = :n AND p.due IS NOT NULL",
    columns=_ROW,
)


def _first_due(table: str, lane: str) -> str:
    """In the order of the index, which no other has: PostgreSQL would take any that looks as short as an empty one. Not by
    EXISTS: of that it makes one list, which holds what is due in the queues of all processes."""
    return (
        f"(SELECT w.queue FROM {table} w WHERE w.queue = q.queue AND w.lane = {lane} AND w.due <= :now"
        " ORDER BY w.service, w.due LIMIT 1) IS NOT NULL"
    )


ANY_DUE = Statement(
    "work.any_due",
    f"SELECT q.queue FROM queue q WHERE q.queue IN (:keys) AND ({_first_due('notification', ':single')}"
    f" OR {_first_due('page', ':single')} OR {_first_due('page', ':broadcast')}) LIMIT 1",
    columns=(("queue", "bigint"),),
)
"""Goes by the index through what is not due too, so it is for queues in which little waits."""

Taken = tuple[list[Candidate], list[Work]]
"""Candidates, and the whole of each, in the same order."""
Counted = Mapping[tuple[int, str], tuple[int, int]]


def take(connection: Connection, look: Look, *, now: float) -> Taken:
    """What the look chooses of what is due, in order of due for each service."""
    rows = [(*place, now, *start, look.limits[place]) for place, start in look.starts.items() if look.limits[place] > 0]
    found = candidates(connection.read_many(DUE_PAGES, rows), is_page=True)
    if any(place.lane != BROADCAST for place in look.starts):  # a notification that is its own page is a single
        found += candidates(connection.read_many(DUE_NOTIFICATIONS, rows), is_page=False)
    return with_work(connection, look.choose(found))


def is_any_due(connection: Connection, queues: Sequence[int], *, now: float) -> bool:
    """Whether anything is due in these queues, in either lane, for any service."""
    return bool(connection.read_by_keys(ANY_DUE, queues, single=SINGLE, broadcast=BROADCAST, now=now))


def find_due(
    connection: Connection, places: Collection[Place], hand: InHand, limit: int, *, now: float
) -> list[Candidate]:
    """The first rows that are due in these places and not in hand, without reading the whole of them."""
    rows = [(*place, now, *START, limit + hand.count(place)) for place in places]
    found = candidates(connection.read_many(DUE_PAGES, rows), is_page=True)
    found += candidates(connection.read_many(DUE_NOTIFICATIONS, rows), is_page=False)
    free = [candidate for candidate in sorted(found) if (candidate.place.queue, candidate.n) not in hand]
    return free[:limit]


def candidates(rows: Iterable[Row], *, is_page: bool) -> list[Candidate]:
    """Rows of due, number, queue, lane and service."""
    return [Candidate(due, n, Place(queue, lane, service), is_page) for due, n, queue, lane, service in rows]


def with_work(connection: Connection, chosen: list[Candidate]) -> Taken:
    """The rows whole, in the order of the candidates."""
    work: dict[tuple[int, int], Work] = {}
    for is_page, statement, make in ((False, NOTIFICATIONS, _own_pages), (True, PAGES, _pages)):
        keys = [(candidate.place.queue, candidate.n) for candidate in chosen if candidate.is_page is is_page]
        for piece in make(connection.read_many(statement, keys)):
            work[piece.queue, piece.n] = piece
    return chosen, [work[candidate.place.queue, candidate.n] for candidate in chosen]


def _own_pages(rows: Sequence[Row]) -> Iterable[Work]:
    for row in rows:
        yield _work(row[:10], notification_of(row[10:]))


def _pages(rows: Sequence[Row]) -> Iterable[Work]:
    known: dict[tuple[int, int], Notification] = {}  # pages of one broadcast come together
    for row in rows:
        attempt, home, n, quiet_until = row[10:14]
        if (home, n) not in known:
            known[home, n] = notification_of(row[14:])
        work = _work(row[:10], known[home, n], number=row[1], attempt=attempt)
        work.quiet_until = quiet_until or 0.0
        yield work


def _work(row: Sequence[Any], notification: Notification, *, number: int = 0, attempt: int = 0) -> Work:
    queue, n, lane, service, due, deferred, done, again, ordinals, accepted_at = row
    return Work(
        queue=queue,
        n=n,
        notification=notification,
        accepted_at=accepted_at,
        lane=LANE_OF[lane],
        service=service_of(service),
        ordinals=_bitmap(ordinals),
        done=done,
        again=_bitmap(again),
        due_at=due,
        was_deferred=bool(deferred),
        number=number,
        attempt=attempt,
    )


def _bitmap(ordinals: bytes | None) -> BitMap | None:
    return None if ordinals is None else BitMap.deserialize(ordinals)


def _counted(table: str) -> str:
    """Grouped as the index is sorted, so that SQLite counts as it reads: to sort what waits took four times as long."""
    return (
        "SELECT lane, service, count(*) AS waiting, sum(CASE WHEN due <= :now THEN 1 ELSE 0 END) AS ready"
        f" FROM {table} WHERE queue IN (SELECT queue FROM queue WHERE owner = :owner) AND due IS NOT NULL"
        " GROUP BY queue, lane, service"
    )


COUNT = Statement(
    "work.count",
    f"{_counted('notification')} UNION ALL {_counted('page')}",
)


def count(connection: Connection, owner: str, *, now: float) -> Counted:
    """Rows that have not ended, by lane and service: all of them, and those that are due."""
    counted: dict[tuple[int, str], tuple[int, int]] = {}
    for lane, service, rows, ready in connection.read(COUNT, owner=owner, now=now):
        waiting, due = counted.get((lane, service), (0, 0))
        counted[lane, service] = (waiting + rows, due + ready)
    return counted


def oldest(connection: Connection, limits: Mapping[Place, int], hand: InHand, *, now: float) -> dict[int, float]:
    """When the first row that is not in hand became due, by lane; `limits` is how many rows of a place to look at."""
    rows = [(*place, now, 0.0, 0, limit) for place, limit in limits.items()]
    found = candidates(connection.read_many(DUE_PAGES, rows), is_page=True)
    found += candidates(connection.read_many(DUE_NOTIFICATIONS, rows), is_page=False)
    first: dict[int, float] = {}
    for candidate in sorted(found):
        if (candidate.place.queue, candidate.n) not in hand:
            first.setdefault(candidate.place.lane, candidate.due)
    return first
