"""How stores keep what sinks are to be told: with what makes it true, until it is published, and within bounds."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from pyroaring import BitMap

from hub.follow_up import FollowUp, UnopenedPush
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.phone_report import ReportedPush
from hub.report import EndedNotification, RemovedDevices, Report
from hub.store.connection import Statement
from hub.store.contracts.outbox import Failed, PageResult
from hub.store.contracts.people import Kept
from hub.store.contracts.sinks import SinkLimits
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, went_well
from tests.hub.store.suite.recording import APNS, FCM, GONE, SUCCESS, expanded, found

LIMITS = SinkLimits(kept=1000.0, max_rows=100, max_bytes=10**6)
ROWS = Statement("test.sinks", "SELECT count(*) FROM sink")


class Told:
    """A reporter that keeps what it was asked; each report's body is what it is about."""

    def __init__(self, *sinks: str, devices: Collection[str] = ()) -> None:
        self.sinks = sinks
        self.devices = devices
        self.ended: list[EndedNotification] = []

    def sinks_of(self, notification: Notification) -> Collection[str]:
        return self.sinks

    def reports_of(self, ended: EndedNotification) -> Sequence[Report]:
        self.ended.append(ended)
        body = f"{ended.notification.rule} {ended.state.value}".encode()
        return [
            Report(sink=sink, body=body, content_type="text/plain", person=ended.notification.person)
            for sink in self.sinks
        ]

    def sinks_of_devices(self, hub: str) -> Collection[str]:
        return self.devices

    def reports_of_devices(self, removed: RemovedDevices, *, at: float) -> Sequence[Report]:
        named = ",".join([*sorted(removed.installations), *removed.registrations])
        body = f"{removed.hub} {removed.platform.value} {removed.reason} {named} {removed.user_id}".encode()
        return [Report(sink=sink, body=body, content_type="text/plain") for sink in self.devices]

    def follow_up_of(self, notification: Notification) -> FollowUp | None:
        return None

    def reports_of_unopened(self, unopened: UnopenedPush) -> Sequence[Report]:
        return ()

    def reports_of_phone(self, reported: ReportedPush) -> Sequence[Report]:
        said = f"{reported.notification.rule} {reported.installation_id} {reported.event.value} {reported.action}"
        return [Report(sink=sink, body=said.encode(), content_type="text/plain") for sink in self.sinks]


async def bodies(store: SqlStore, sink: str = "crm") -> list[str]:
    return [each.body.decode() for each in await store.unreported(sink, limit=100)]


class Sinks(Suite):
    async def test_each_sink_of_a_notification_is_told_once_when_it_ends(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        store.report_to(told := Told("crm", "audit"))
        well, failed = await begin(store, notification("a", rule="a"), notification("b", rule="b"))
        gone = Failed(ordinal=1, outcome=GONE, reason="410")
        results = [went_well(well), PageResult(work=failed, counts={FCM: {GONE: 1}}, failures=[gone])]
        await store.record(results)
        await store.record(results)  # late: a repetition says nothing
        for sink in ("crm", "audit"):
            assert await bodies(store, sink) == ["a Completed", "b Completed"]
        assert await bodies(store, "other") == []
        assert [(each.counts, each.at, each.why) for each in told.ended[:2]] == [
            ({FCM: {SUCCESS: 1}}, clock(), None),
            ({FCM: {GONE: 1}}, clock(), Unreached.GONE),
        ]

    async def test_a_broadcast_is_told_of_with_the_sum_of_its_pages(self, store: SqlStore) -> None:
        store.report_to(told := Told("crm"))
        one, two = await expanded(store, (FCM, BitMap([1, 2])), (APNS, BitMap([3])))
        await store.record([went_well(one, 2)])
        await store.sum_up()
        assert await bodies(store) == []
        await store.record([went_well(two, 1, Platform.APNS)])
        await store.sum_up()
        assert len(await bodies(store)) == 1
        (ended,) = told.ended
        assert (ended.state, ended.counts) == (State.COMPLETED, {FCM: {SUCCESS: 2}, APNS: {SUCCESS: 1}})

    async def test_what_is_not_to_be_told_writes_nothing(self, stores: Stores, store: SqlStore) -> None:
        for reporter in (None, Told()):
            store.report_to(reporter)
            (work,) = await begin(store, notification())
            await store.record([went_well(work)])
        assert await stores.read(ROWS) == [(0,)]

    async def test_devices_that_are_gone_are_told_of_by_push_channel(self, store: SqlStore) -> None:
        await store.put_installations(
            HUB,
            [
                replace(installation("i1", push_channel="same"), user_id="u"),
                replace(installation("i2", push_channel="same"), user_id="u"),
                installation("i3", push_channel="other"),
            ],
        )
        store.report_to(Told(devices=["crm"]))
        (work,) = await begin(store, notification())
        ordinal = (await found(store, work.notification))["same"]
        gone = Failed(ordinal=ordinal, outcome=OutcomeName.EXPIRED_CHANNEL, reason="410", gone=True)
        await store.record([PageResult(work=work, counts={FCM: {GONE: 1}}, failures=[gone])])
        assert await bodies(store) == [f"{HUB} fcmv1 410 i1,i2 u"]

    async def test_a_report_waits_until_it_is_published_and_one_that_is_refused_stands_back(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        store.report_to(Told("crm"))
        for work in await begin(store, *(notification(str(number), rule=str(number)) for number in range(3))):
            await store.record([went_well(work)])
        first, second, third = await store.unreported("crm", limit=100)
        assert [each.id for each in await store.unreported("crm", limit=2)] == [first.id, second.id]
        await store.reported([second.id])
        await store.postpone_reports({first.id: 10.0})
        assert [each.id for each in await store.unreported("crm", limit=100)] == [third.id]
        clock.advance(10)
        again = await store.unreported("crm", limit=100)
        assert [(each.id, each.attempt) for each in again] == [(third.id, 0), (first.id, 1)]
        await store.reported([first.id, third.id])
        assert await store.sink_usage() == {}

    async def test_what_waits_is_bounded_in_age_rows_and_bytes_the_oldest_go(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        store.report_to(Told("crm", "audit"))
        began = clock()
        for number in range(4):
            (work,) = await begin(store, notification(str(number), rule=str(number)))
            await store.record([went_well(work)])
            clock.advance(10)
        size = len("0 Completed")
        usage = (await store.sink_usage())["crm"]
        assert (usage.reports, usage.bytes, usage.oldest) == (4, 4 * size, began)
        assert not await store.bound_sinks({"crm": LIMITS}, others=LIMITS)
        rows = SinkLimits(kept=1000.0, max_rows=3, max_bytes=10**6)
        assert await store.bound_sinks({"crm": rows}, others=LIMITS) == {"crm": 1}
        of_bytes = SinkLimits(kept=1000.0, max_rows=100, max_bytes=2 * size)
        assert await store.bound_sinks({"crm": of_bytes}, others=LIMITS) == {"crm": 1}
        old = SinkLimits(kept=15.0, max_rows=100, max_bytes=10**6)
        assert await store.bound_sinks({"crm": LIMITS}, others=old) == {"audit": 3}
        assert await bodies(store) == ["2 Completed", "3 Completed"]
        assert await bodies(store, "audit") == ["3 Completed"]

    async def test_what_waits_is_found_by_the_person_it_is_about_and_erased(self, store: SqlStore) -> None:
        store.report_to(Told("crm"))
        (work,) = await begin(store, notification(person="p-1"))
        await store.record([went_well(work)])
        assert (await store.count_person("p-1"))[Kept.SINK] == 1
        await store.erase_person("p-1", actor="ann")
        assert await bodies(store) == []

    async def test_reports_outlive_a_crash(self, stores: Stores, store: SqlStore) -> None:
        store.report_to(Told("crm"))
        (work,) = await begin(store, notification("a", rule="a"))
        await store.record([went_well(work)])
        await stores.crash()
        assert await bodies(await stores.open()) == ["a Completed"]
