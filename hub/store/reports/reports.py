"""The contract `PhoneReports` over a database."""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.notification import Notification
from hub.people import installation_person, person_key
from hub.phone_report import (
    MOST_ACTIONS,
    PhoneEvent,
    PhoneReport,
    ReportedPush,
    ReportOutcome,
    ReportPolicy,
    TakenReports,
)
from hub.report import Reporter
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database, Row, Statement
from hub.store.decide.device import StoredDevice
from hub.store.decide.recording import Key
from hub.store.registry.listing import get_device
from hub.store.registry.places import Place
from hub.store.reports.reading import reports_of_phone
from hub.store.rows import NOTIFICATION, notification_of
from hub.store.sinks.writing import report_write
from hub.store.telemetry import tallying

T = TypeVar("T")

_AUDIENCES_KEPT = 64
"""Notifications whose audiences are remembered: a broadcast has thousands of pages, and each of its phones may report."""

PUSHED = Statement(
    "report.pushed",
    f"SELECT n.n, n.queue, n.accepted_at, n.ordinals, {NOTIFICATION} FROM notification n"
    " WHERE n.id IN (:keys) AND n.hub = :hub",
    columns=(("id", "bytea"),),
)
"""An id is one notification's in all queues."""
PAGES = Statement("report.pages", "SELECT ordinals, queue FROM page WHERE home = :queue AND notification = :n")
ADD = Statement(
    "report.add",
    "INSERT INTO report (queue, notification, phone, event, action, n, at, hub, platform, person)"
    " SELECT t.queue, t.n, :phone, :event, :action, :number, :now, :hub, :platform, :person"
    " FROM notification t WHERE t.queue = :queue AND t.n = :n"
    " ON CONFLICT (queue, notification, phone, event, action) DO NOTHING RETURNING n",
)
"""Of a notification that is there still: what is erased with it stays so."""
PlaceOf = Callable[[str], Awaitable[Place | None]]


class ReportQueues(Protocol):
    """What is asked of the outbox."""

    @property
    def reporter(self) -> Reporter | None: ...

    def next_queue(self) -> int: ...

    async def numbers(self, queue: int, count: int) -> range: ...

    async def write(self, job: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A notification on which reports came; `why_not` is set where none is kept."""

    key: Key
    notification: Notification
    why_not: ReportOutcome | None


class SqlReports:
    """`hub.store.contracts.phone_reports.PhoneReports`."""

    def __init__(self, database: Database, clock: StoreClock, queues: ReportQueues, place_of: PlaceOf) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self._place_of = place_of
        self._audiences: OrderedDict[Key, BitMap] = OrderedDict()

    async def add_reports(
        self, hub: str, installation_id: str, reports: Sequence[PhoneReport], policy: ReportPolicy
    ) -> TakenReports:
        place = await self._place_of(hub)
        now = self._clock.now()
        found = await self._database.read(
            lambda connection: self._look(connection, place, hub, installation_id, reports, policy, now)
        )
        if found is None:
            raise NotFoundError("Installation not found.")
        device, pushed = found
        value = policy.value_of(
            (*device.native_tags, *(tag for each in device.templates for tag in device.tags_of(each)))
        )
        outcomes = [_refusal(pushed.get(report.notification_id)) for report in reports]
        if None in outcomes:
            outcomes = await self._add(hub, device, reports, pushed, outcomes, value)
        return TakenReports(
            platform=device.platform,
            outcomes=[ReportOutcome.UNKNOWN if each is None else each for each in outcomes],
            value=value,
        )

    def _look(
        self,
        connection: Connection,
        place: Place | None,
        hub: str,
        installation_id: str,
        reports: Sequence[PhoneReport],
        policy: ReportPolicy,
        now: float,
    ) -> tuple[StoredDevice, Mapping[str, _Pushed]] | None:
        """The device, and the notifications that there are of those that it reports on; None: there is no such device."""
        device = None if place is None else get_device(connection, place, installation_id, now=now)
        if device is None:
            return None
        ids = list({bytes.fromhex(report.notification_id) for report in reports})
        mine = BitMap([ordinal for ordinal, _ in device.registrations()])
        pushed: dict[str, _Pushed] = {}
        for n, queue, accepted_at, ordinals, *columns in connection.read_by_keys(PUSHED, ids, hub=hub):
            notification = notification_of(columns)
            why_not = None
            if now - max(accepted_at, _time(notification)) > policy.accept_for:
                why_not = ReportOutcome.LATE
            elif not mine & self._audience(connection, (queue, n), ordinals):
                why_not = ReportOutcome.FOREIGN
            pushed[notification.id] = _Pushed((queue, n), notification, why_not)
        return device, pushed

    def _audience(self, connection: Connection, key: Key, ordinals: bytes | None) -> BitMap:
        """The registrations that a notification was for. Pages are made in one transaction, and stay as they are."""
        if ordinals is not None:
            return BitMap.deserialize(ordinals)
        known = self._audiences.get(key)
        if known is None:
            rows = connection.read(PAGES, queue=key[0], n=key[1])
            known = BitMap.union(*(BitMap.deserialize(page) for page, _ in rows)) if rows else BitMap()
            if rows:
                self._audiences[key] = known
                if len(self._audiences) > _AUDIENCES_KEPT:
                    self._audiences.popitem(last=False)
        return known

    async def _add(
        self,
        hub: str,
        device: StoredDevice,
        reports: Sequence[PhoneReport],
        pushed: Mapping[str, _Pushed],
        refusals: Sequence[ReportOutcome | None],
        value: str | None,
    ) -> list[ReportOutcome | None]:
        reporter = self._queues.reporter
        wanted = [
            (report, pushed[report.notification_id]) for report, why in zip(reports, refusals, strict=True) if not why
        ]
        sinks = 0 if reporter is None else sum(len(reporter.sinks_of(each.notification)) for _, each in wanted)
        queue = self._queues.next_queue()
        numbers = await self._queues.numbers(queue, len(wanted) + sinks)

        def job(connection: Connection) -> list[ReportOutcome]:
            now = self._clock.now()
            free = iter(numbers)
            outcomes, kept = _keep(connection, hub, device, wanted, free, now)
            if kept:
                told = [] if reporter is None else [one for each in kept for one in reporter.reports_of_phone(each)]
                rows = _tally_rows(hub, kept, value, queue=queue, now=now)
                connection.write_all([(tallying.ADD, rows), report_write(told, free, queue=queue, now=now)])
            return outcomes

        added = iter(await self._queues.write(job))
        return [next(added) if why is None else why for why in refusals]


def _time(notification: Notification) -> float:
    return 0.0 if notification.schedule_at is None else notification.schedule_at.timestamp()


def _refusal(pushed: _Pushed | None) -> ReportOutcome | None:
    return ReportOutcome.UNKNOWN if pushed is None else pushed.why_not


def _keep(
    connection: Connection,
    hub: str,
    device: StoredDevice,
    wanted: Sequence[tuple[PhoneReport, _Pushed]],
    numbers: Iterator[int],
    now: float,
) -> tuple[list[ReportOutcome], list[ReportedPush]]:
    """What became of each, and those that were kept."""
    phone = device.installation_id or ""
    person = installation_person(phone) if device.user_id is None else person_key(device.user_id)
    keys = list({pushed.key for _, pushed in wanted})
    kept_before = reports_of_phone(connection, keys, phone)
    known = {(*key, each.event.value, each.action) for key, those in kept_before.items() for each in those}
    actions = Counter(row[:2] for row in known if row[2] == PhoneEvent.ACTED.value)
    outcomes: list[ReportOutcome] = []
    kept: list[ReportedPush] = []
    for report, pushed in wanted:
        row = (*pushed.key, report.event.value, report.action)
        if row in known:
            outcomes.append(ReportOutcome.REPEATED)
            continue
        if report.event is PhoneEvent.ACTED and actions[pushed.key] >= MOST_ACTIONS:
            outcomes.append(ReportOutcome.TOO_MANY)
            continue
        added = connection.write(
            ADD,
            phone=phone,
            event=report.event.value,
            action=report.action,
            number=next(numbers),
            now=now,
            hub=hub,
            platform=device.platform.value,
            person=person,
            queue=pushed.key[0],
            n=pushed.key[1],
        )
        if not added:  # another process kept the same one at this moment
            outcomes.append(ReportOutcome.REPEATED)
            continue
        known.add(row)
        actions[pushed.key] += report.event is PhoneEvent.ACTED
        outcomes.append(ReportOutcome.ACCEPTED)
        kept.append(
            ReportedPush(
                notification=pushed.notification,
                installation_id=phone,
                user_id=device.user_id or "",
                platform=device.platform,
                event=report.event,
                action=report.action,
                at=now,
            )
        )
    return outcomes, kept


def _tally_rows(hub: str, kept: Sequence[ReportedPush], value: str | None, *, queue: int, now: float) -> list[Row]:
    """Rows of `tallying.ADD`."""
    events = Counter((each.event.value, each.platform) for each in kept)
    return tallying.report_rows(hub, events, value, queue=queue, now=now)
