"""Work that has exceeded its age while no service took it: looked for a slice at a time, whatever the number that waits.

Rows stand in order of due, and neither their age nor their expiry is in that order. To look at all of them each second kept
the thread that reads from the pushes of other services, for longer the more waited. So a look passes a bounded number of
rows, and the next look goes on behind them. A place is read from its start again once all was passed that was due when its
reading began: what becomes due as fast as a look reads would keep it from those before it, which grow old meanwhile.
"""

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from hub.store.connection import Connection, Statement
from hub.store.outbox.in_hand import START, Candidate, InHand, Place, Position
from hub.store.outbox.taking import DUE_KEYS, Taken, candidates, with_work

ROWS = 2000
"""Rows that one look passes, about: 0.3 ms on SQLite. The places share them: with a look a second, 100,000 rows of one of
two places take 100 s."""
_LEAST = 20
"""Rows of a place, where the places are many."""

_KEYS = (*DUE_KEYS, ("begun", "double precision"), ("behind", "bigint"))


def _slice(table: str, number: str) -> str:
    return (
        f"FROM {table} WHERE queue = :queue AND lane = :lane AND service = :service AND due <= :now AND due >= :due"
        f" AND (due > :due OR {number} > :n) ORDER BY due, {number}"
    )


def _old(columns: str, table: str, number: str, joined: str, begun: str) -> str:
    """The rows of a slice that are old, each with 1, and the last row of the slice, if it is full, with 0."""
    names = f"due, {number}, queue, lane, service"
    return (
        f"SELECT o.due, o.{number}, o.queue, o.lane, o.service, 1 AS is_old FROM (SELECT s.* FROM (SELECT {columns}"
        f" {_slice(table, number)} LIMIT :behind + 1) AS s{joined}"
        f" WHERE {begun} LIMIT :limit) AS o UNION ALL"
        f" SELECT e.due, e.{number}, e.queue, e.lane, e.service, 0 AS is_old FROM"
        f" (SELECT {names} {_slice(table, number)} LIMIT 1 OFFSET :behind) AS e"
    )


OLD_NOTIFICATIONS = Statement(
    "notification.old",
    _old(
        "due, n, queue, lane, service, accepted_at, schedule_at, expires_at",
        "notification",
        "n",
        "",
        "s.accepted_at <= :begun AND coalesce(s.schedule_at, :begun) <= :begun OR s.expires_at <= :now",
    ),
    columns=_KEYS,
)
OLD_PAGES = Statement(
    "page.old",
    _old(
        "due, number, queue, lane, service, home, notification, quiet_until",
        "page",
        "number",
        " JOIN notification n ON n.queue = s.home AND n.n = s.notification",
        "n.accepted_at <= :begun AND coalesce(s.quiet_until, n.schedule_at, :begun) <= :begun OR n.expires_at <= :now",
    ),
    columns=_KEYS,
)


class _Reading(NamedTuple):
    """How far a place was read, and when its reading began, in seconds of the store's clock."""

    position: Position
    began_at: float


class Orphans:
    """How far each place has been looked through. One look at a time; any thread."""

    def __init__(self, *, rows: int = ROWS) -> None:
        self._rows = rows
        self._read: dict[tuple[Place, bool], _Reading] = {}

    def take(
        self, connection: Connection, places: Collection[Place], hand: InHand, limit: int, *, now: float, begun: float
    ) -> Taken:
        """Of the next rows that are due in these places, those that were accepted before `begun` or have expired, and
        that are not in hand; up to `limit` altogether."""
        behind = max(_LEAST, self._rows // max(1, len(places))) - 1
        most = {place: limit + hand.count(place) for place in places}
        found: list[Candidate] = []
        read: dict[tuple[Place, bool], _Reading] = {}
        for is_page, statement in ((True, OLD_PAGES), (False, OLD_NOTIFICATIONS)):
            starts = {place: self._read.get((place, is_page), _Reading(START, now)) for place in places}
            rows = [(*place, now, *starts[place].position, most[place], begun, behind) for place in places]
            said = connection.read_many(statement, rows)
            old = candidates((row[:-1] for row in said if row[-1]), is_page=is_page)
            ends = candidates((row[:-1] for row in said if not row[-1]), is_page=is_page)
            for end in ends:
                began_at = starts[end.place].began_at
                if end.due <= began_at:
                    read[end.place, is_page] = _Reading((end.due, end.n), began_at)
            counts = Counter(one.place for one in old)
            read |= {(place, is_page): starts[place] for place, count in counts.items() if count >= most[place]}
            found += old
        free = [one for one in sorted(found) if (one.place.queue, one.n) not in hand]
        if len(free) <= limit:  # else the others are still where this look began
            self._read = read
        return with_work(connection, free[:limit])
