"""The contract `FollowUps` over a database: each process looks at what is due in its own queues."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hub.errors import ConflictError
from hub.follow_up import FollowedPushes, FollowedUp, FollowUpOutcome, FollowUpUsage
from hub.notification import Notification
from hub.outcome import State, Unreached
from hub.phone_report import KeptReport, PhoneEvent
from hub.report import Report, Reporter
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database, Statement
from hub.store.decide.device import StoredDevice
from hub.store.decide.following import DueFollowUp, Followed, Found, found
from hub.store.decide.recording import Key
from hub.store.decide.tracing import Failure, Sent
from hub.store.registry import statements
from hub.store.registry.places import Place
from hub.store.registry.rows import device_of
from hub.store.rows import NOTIFICATION, notification_of
from hub.store.sinks.writing import report_write

T = TypeVar("T")

SLICE = 100
"""Follow-ups that are looked at together, at most, each of a page of registrations at most."""

_KEY = (("queue", "bigint"), ("n", "bigint"))
DUE = Statement(
    "follow_up.due",
    "SELECT queue, notification, page, about, sent_at, sinks, due FROM follow_up"
    " WHERE queue = :queue AND due <= :now ORDER BY due LIMIT :limit",
    columns=(("queue", "bigint"), ("now", "double precision"), ("limit", "bigint")),
)
END = Statement(
    "follow_up.end",
    "UPDATE follow_up SET due = NULL, ended_at = :now, told = :told, opened = :opened"
    " WHERE queue = :queue AND notification = :n AND page = :page AND about = :about AND due IS NOT NULL",
    columns=(
        ("now", "double precision"),
        ("told", "bigint"),
        ("opened", "bigint"),
        *_KEY,
        ("page", "bigint"),
        ("about", "text"),
    ),
)
USAGE = Statement(
    "follow_up.usage",
    "SELECT count(*), min(due), queue FROM follow_up WHERE queue = :queue AND due IS NOT NULL GROUP BY queue",
    columns=(("queue", "bigint"),),
)
FOLLOWED = Statement(
    "notification.followed",
    f"SELECT n.queue, n.n, n.state, n.unreached, n.due, n.ordinals, n.done, n.again, {NOTIFICATION} FROM notification n"
    " WHERE n.queue = :queue AND n.n = :n",
    columns=_KEY,
)
PAGES = Statement(
    "page.followed",
    "SELECT home, notification, number, due, attempt, ordinals, done, again, queue FROM page"
    " WHERE home = :queue AND notification = :n",
    columns=_KEY,
)
FAILURES = Statement(
    "failure.followed",
    "SELECT queue, notification, ordinal, outcome, reason, at FROM failure WHERE queue = :queue AND notification = :n",
    columns=_KEY,
)
SAID = Statement(
    "report.followed",
    "SELECT queue, notification, phone, event, action, at FROM report WHERE queue = :queue AND notification = :n",
    columns=_KEY,
)


_OPENED = FollowUpOutcome.OPENED


class FollowUpQueues(Protocol):
    """What is asked of the outbox."""

    @property
    def own_queues(self) -> Sequence[int]: ...

    @property
    def reporter(self) -> Reporter | None: ...

    def owned(self, connection: Connection, queues: Sequence[int]) -> frozenset[int]: ...

    async def numbers(self, queue: int, count: int) -> range: ...

    async def write(self, job: Callable[[Connection], T]) -> T: ...


class SqlFollowUps:
    """`hub.store.contracts.follow_ups.FollowUps`."""

    def __init__(
        self,
        database: Database,
        clock: StoreClock,
        queues: FollowUpQueues,
        place_of: Callable[[str], Awaitable[Place | None]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self._place_of = place_of

    async def follow_up(self) -> FollowedUp:
        reporter = self._queues.reporter
        if reporter is None:  # nobody says what a report is: what is due waits until somebody does
            return FollowedUp()
        due, is_more = await self._due()
        if not due:
            return FollowedUp()
        followed = await self._followed(due)
        looked = [
            (each, found(each, followed[each.queue, each.n], now=self._clock.now()))
            for each in due
            if (each.queue, each.n) in followed
        ]
        reports: dict[int, list[Report]] = defaultdict(list)
        for each, (_, unopened) in looked:
            reports[each.queue] += [report for one in unopened for report in reporter.reports_of_unopened(one)]
        if not await self._end(looked, reports):
            return FollowedUp()
        counts = Counter[tuple[str, FollowUpOutcome]]()
        too_many: list[Notification] = []
        for each, (outcomes, _) in looked:
            notification = followed[each.queue, each.n].notification
            counts.update((notification.hub, outcome) for outcome in outcomes)
            if each.about is FollowedPushes.EXPANDED:
                too_many.append(notification)
        return FollowedUp(counts=counts, too_many=too_many, is_more=is_more)

    async def follow_up_usage(self) -> FollowUpUsage:
        asked = [(queue,) for queue in self._queues.own_queues]
        rows = await self._database.look(lambda connection: connection.read_many(USAGE, asked))
        if not rows:
            return FollowUpUsage()
        overdue = self._clock.now() - min(float(first) for _, first, _ in rows)
        return FollowUpUsage(waiting=sum(count for count, _, _ in rows), overdue=max(0.0, overdue))

    async def _due(self) -> tuple[Sequence[DueFollowUp], bool]:
        """The first that are due, and whether there are more."""
        asked = [(queue, self._clock.now(), SLICE) for queue in self._queues.own_queues]
        rows = await self._database.look(lambda connection: connection.read_many(DUE, asked))
        rows.sort(key=lambda row: float(row[6]))
        due = [
            DueFollowUp(queue, n, page, FollowedPushes(about), sent_at, sinks.split(","))
            for queue, n, page, about, sent_at, sinks, _ in rows[:SLICE]
        ]
        return due, len(rows) >= SLICE

    async def _followed(self, due: Sequence[DueFollowUp]) -> Mapping[Key, Followed]:
        """What is kept of their notifications."""
        keys = list(dict.fromkeys((each.queue, each.n) for each in due))
        rows = await self._database.read(lambda connection: connection.read_many(FOLLOWED, keys))
        places = {hub: await self._place_of(hub) for hub in {notification_of(row[8:]).hub for row in rows}}
        return await self._database.read(lambda connection: _followed(connection, rows, places))

    async def _end(self, looked: Sequence[tuple[DueFollowUp, Found]], reports: Mapping[int, Sequence[Report]]) -> bool:
        """Whether this process was the one to do it: not, where a queue was lost, or a person erased, since it looked."""
        numbers = {queue: await self._queues.numbers(queue, len(those)) for queue, those in reports.items()}

        def job(connection: Connection) -> None:
            now = self._clock.now()
            queues = sorted({each.queue for each, _ in looked})
            if self._queues.owned(connection, queues) < set(queues):
                raise ConflictError("another process owns the queue of a follow-up")
            rows = [
                (now, len(unopened), outcomes.count(_OPENED), each.queue, each.n, each.page, each.about.value)
                for each, (outcomes, unopened) in looked
            ]
            told = [
                report_write(those, iter(numbers[queue]), queue=queue, now=now)
                for queue, those in reports.items()
                if those
            ]
            if connection.write_all([(END, rows), *told])[0] != len(rows):
                raise ConflictError("another transaction ended or dropped a follow-up")

        try:
            await self._queues.write(job)
        except ConflictError:
            return False
        return True


def _followed(
    connection: Connection, rows: Sequence[Sequence[Any]], places: Mapping[str, Place | None]
) -> Mapping[Key, Followed]:
    keys: list[Key] = [(queue, n) for queue, n, *_ in rows]
    pages: dict[Key, dict[int, Sent]] = {key: {} for key in keys}
    for queue, n, _, _, due, ordinals, done, again, *_ in rows:
        if ordinals is not None:
            pages[queue, n][0] = Sent.of(due, 0, ordinals, done, again)
    for home, n, number, *sent, _ in connection.read_many(PAGES, [key for key in keys if pages[key]]):
        pages[home, n][number] = Sent.of(*sent)
    failures: dict[Key, dict[int, Failure]] = defaultdict(dict)
    for queue, n, ordinal, *failure in connection.read_many(FAILURES, keys):
        failures[queue, n][ordinal] = Failure(*failure)
    said: dict[Key, dict[str, list[KeptReport]]] = defaultdict(lambda: defaultdict(list))
    for queue, n, phone, event, action, at in connection.read_many(SAID, keys):
        said[queue, n][phone].append(KeptReport(event=PhoneEvent(event), action=action, at=at))
    notifications = {(row[0], row[1]): notification_of(row[8:]) for row in rows}
    wanted: dict[str, set[int]] = defaultdict(set)
    for key, of_each in pages.items():
        for each in of_each.values():
            wanted[notifications[key].hub].update(each.ordinals)
    devices = {hub: _devices(connection, places.get(hub), ordinals) for hub, ordinals in wanted.items()}
    return {
        (queue, n): Followed(
            notification=notifications[queue, n],
            state=State(state),
            pages=pages[queue, n],
            unreached=None if unreached is None else Unreached(unreached),
            failures=failures[queue, n],
            devices=devices.get(notifications[queue, n].hub, {}),
            said=said[queue, n],
        )
        for queue, n, state, unreached, *_ in rows
    }


def _devices(connection: Connection, place: Place | None, ordinals: set[int]) -> Mapping[int, StoredDevice]:
    """Those that are dead too; by the ordinals of their registrations."""
    if place is None:
        return {}
    rows = connection.read_by_keys(statements.DEVICES_BY_ORDINAL, sorted(ordinals), hub=place.hub, shard=place.shard)
    return {ordinal: device_of(row) for ordinal, *row in rows}
