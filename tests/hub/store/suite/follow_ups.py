"""How stores look whether phones have opened what they were sent, and tell sinks of those that have not."""

from collections.abc import Sequence
from dataclasses import replace

from pyroaring import BitMap

from hub.follow_up import FollowedUp, FollowUp, UnopenedPush
from hub.notification import NativeContent, Notification, Platform
from hub.outcome import OutcomeName, State, Unreached
from hub.phone_report import PhoneEvent
from hub.report import Report
from hub.store.connection import Statement
from hub.store.contracts.outbox import Failed, PageResult, RetryPage, Work
from hub.store.contracts.people import Kept
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, everything, take, went_well
from tests.hub.store.suite.phone_reports import pushed, report, said
from tests.hub.store.suite.sinks import Told, bodies

FCM, SUCCESS, GONE = Platform.FCM, OutcomeName.SUCCESS, OutcomeName.EXPIRED_CHANNEL
AFTER = 900.0
ROWS = Statement("test.follow_ups", "SELECT count(*) FROM follow_up")


class Follows(Told):
    """Has all phones looked at; each report's body says what was found of which phone."""

    def __init__(self, *sinks: str) -> None:
        super().__init__()
        self.follow_up = FollowUp(after=AFTER, sinks=sinks)
        self.unopened: list[UnopenedPush] = []

    def follow_up_of(self, notification: Notification) -> FollowUp | None:
        return self.follow_up

    def reports_of_unopened(self, unopened: UnopenedPush) -> Sequence[Report]:
        self.unopened.append(unopened)
        body = f"{unopened.outcome.value} {unopened.installation_id or unopened.registration_id}".encode()
        person = unopened.notification.person or unopened.user_id
        return [Report(sink=sink, body=body, content_type="text/plain", person=person) for sink in unopened.sinks]


def counted(followed: FollowedUp) -> dict[str, int]:
    return {outcome.value: count for (_, outcome), count in followed.counts.items()}


async def ordinals_of(store: SqlStore, one: Notification) -> dict[str, int]:
    """The registrations that a notification is for, by push channel."""
    (audience,) = await store.audiences([one])
    return {target.push_channel: target.ordinal for target in audience.targets}


def failed(work: Work, ordinals: BitMap, *failures: Failed, delivered: int = 0) -> PageResult:
    """Some pushes of a notification failed for good, and so many were delivered."""
    counts = {SUCCESS: delivered} if delivered else {}
    return PageResult(
        work=work,
        counts={FCM: counts | {GONE: len(failures)}},
        failures=failures,
        done=len(ordinals),
        ordinals=ordinals,
        started_at=1.0,
    )


class FollowUps(Suite):
    async def test_a_sink_is_told_of_the_phone_that_has_not_opened_in_time_and_of_no_other(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        phones = [replace(installation(name, "news"), user_id=name.upper()) for name in ("ann", "bob", "cid")]
        await store.put_installations(HUB, phones)
        store.report_to(told := Follows("sms", "crm"))
        one = notification("news", rule="debit")
        sent_at = clock()
        await pushed(store, one)
        await report(store, "ann", said(one))
        await report(store, "cid", said(one, PhoneEvent.ACTED, "pay"))
        clock.advance(10)
        await report(store, "bob", said(one, PhoneEvent.RECEIVED))
        clock.advance(AFTER - 11)
        assert (await store.follow_up()).counts == {}
        clock.advance(1)
        assert counted(await store.follow_up()) == {"opened": 2, "not_opened": 1}
        for sink in ("sms", "crm"):
            assert await bodies(store, sink) == ["not_opened bob"]
        (bob,) = told.unopened
        assert (bob.user_id, bob.platform, bob.sent_at, bob.received_at) == ("BOB", FCM, sent_at, sent_at + 10)
        assert (await store.follow_up()).counts == {}, "once"
        assert (await store.follow_up_usage()).waiting == 0
        (kept,) = (await store.notification(one.id)).follow_ups
        assert (kept.due, kept.ended_at, kept.told, kept.opened) == (None, clock(), 1, 2)

    async def test_a_push_that_failed_for_good_is_told_at_once(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        store.report_to(told := Follows("sms"))
        one = notification("news")
        (work,) = await begin(store, one)
        ordinals = await ordinals_of(store, one)
        gone = Failed(ordinal=ordinals["token of ann"], outcome=GONE, reason="410", gone=True)
        await store.record([failed(work, BitMap(ordinals.values()), gone, delivered=1)])
        assert counted(await store.follow_up()) == {"failed": 1}
        assert await bodies(store, "sms") == ["failed ann"]
        assert (told.unopened[0].failure, told.unopened[0].detail) == (GONE, "410")
        clock.advance(AFTER)
        assert counted(await store.follow_up()) == {"not_opened": 1}
        assert await bodies(store, "sms") == ["failed ann", "not_opened bob"]

    async def test_a_phone_whose_push_was_tried_again_has_its_time_from_the_delivery(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        store.report_to(Follows("sms"))
        one = notification("news")
        (work,) = await begin(store, one)
        ordinals = await ordinals_of(store, one)
        again = RetryPage(platform=FCM, ordinals=BitMap([ordinals["token of bob"]]), delay=100.0, attempt=1)
        first = replace(
            went_well(work, 2), counts={FCM: {SUCCESS: 1}}, ordinals=BitMap(ordinals.values()), retries=[again]
        )
        await store.record([first])
        clock.advance(100)
        (retried,) = await take(store)
        await store.record([went_well(retried)])
        await store.sum_up()
        clock.advance(AFTER - 100)
        assert counted(await store.follow_up()) == {"not_opened": 1}
        assert await bodies(store, "sms") == ["not_opened ann"]
        clock.advance(100)
        assert counted(await store.follow_up()) == {"not_opened": 1}
        assert await bodies(store, "sms") == ["not_opened ann", "not_opened bob"]

    async def test_a_phone_with_two_registrations_is_told_of_once(self, store: SqlStore, clock: HostClock) -> None:
        ann = installation("ann", "news")
        await store.put_installations(HUB, [replace(ann, templates={**ann.templates, "b": ann.templates["greeting"]})])
        store.report_to(Follows("sms"))
        one = notification("news")
        (work,) = await begin(store, one)
        (audience,) = await store.audiences([one])
        first, second = sorted(target.ordinal for target in audience.targets)
        refused = Failed(ordinal=first, outcome=OutcomeName.INVALID_NOTIFICATION_SIZE, reason="4,097 bytes")
        await store.record([failed(work, BitMap([first, second]), refused, delivered=1)])
        assert (await store.follow_up()).counts == {}, "the other template was delivered"
        clock.advance(AFTER)
        assert counted(await store.follow_up()) == {"not_opened": 1}

    async def test_a_notification_that_reached_no_phone_is_told_at_once(self, store: SqlStore) -> None:
        store.report_to(told := Follows("sms"))
        (work,) = await begin(store, notification("news"))
        await store.record([replace(went_well(work, 0), unreached=Unreached.NO_TAG)])
        assert counted(await store.follow_up()) == {"no_phone": 1}
        assert (await bodies(store, "sms"), told.unopened[0].why) == (["no_phone "], Unreached.NO_TAG)

    async def test_phones_that_were_deleted_since_are_told_of_together(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        store.report_to(Follows("sms"))
        opened, left = notification("news"), notification("news")
        await pushed(store, opened, left)
        await report(store, "ann", said(opened))
        for phone in ("ann", "bob"):
            await store.delete_installation(HUB, phone)
        clock.advance(AFTER)
        assert counted(await store.follow_up()) == {"unregistered": 1}
        assert await bodies(store, "sms") == ["unregistered "]

    async def test_the_user_of_a_phone_that_was_registered_again_is_not_named(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [replace(installation("ann", "news"), user_id="Ann")])
        store.report_to(told := Follows("sms"))
        await pushed(store, notification("news"))
        clock.advance(AFTER)
        await store.put_installations(HUB, [replace(installation("ann", "news"), user_id="Bob")])
        await store.follow_up()
        assert [(each.installation_id, each.user_id) for each in told.unopened] == [("ann", "")]

    async def test_what_an_operator_cancelled_is_told_as_cancelled_and_looked_at_no_more(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news"), installation("bob", "news")])
        store.report_to(told := Follows("sms"))
        told.sinks = ("crm",)
        one = notification("news", rule="debit")
        (work,) = await begin(store, one)
        ordinals = await ordinals_of(store, one)
        again = RetryPage(platform=FCM, ordinals=BitMap([ordinals["token of bob"]]), delay=100.0, attempt=1)
        first = replace(
            went_well(work, 2), counts={FCM: {SUCCESS: 1}}, ordinals=BitMap(ordinals.values()), retries=[again]
        )
        await store.record([first])
        await store.stop(one.id, actor="ops")
        assert await store.stop(one.id, actor="ops") is None
        assert await bodies(store) == ["debit Cancelled"]
        (ended,) = told.ended
        assert (ended.state, ended.actor, ended.counts) == (State.CANCELLED, "ops", {FCM: {SUCCESS: 1}})
        clock.advance(AFTER)
        assert (await store.follow_up()).counts == {}
        assert (await store.follow_up_usage()).waiting == 0

    async def test_a_notification_for_too_many_phones_is_counted_and_no_sink_is_told(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation(f"p{number:04}", templates=False) for number in range(1001)])
        store.report_to(Follows("sms"))
        one = notification(content=NativeContent(platform=FCM, payload=b"{}"))
        (work,) = await begin(store, one)
        (audience,) = await store.audiences([one])
        await store.expand(work, audience)
        for page in await store.take(Lane.BROADCAST, everything()):
            await store.record([went_well(page, len(page.ordinals or ()))])
        await store.sum_up()
        followed = await store.follow_up()
        assert (counted(followed), [each.id for each in followed.too_many]) == ({"too_many": 1}, [one.id])
        clock.advance(AFTER)
        assert (await store.follow_up()).counts == {}
        assert await bodies(store, "sms") == []

    async def test_follow_ups_outlive_a_crash_and_are_done_by_who_owns_the_queue(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        store.report_to(Follows("sms"))
        await pushed(store, notification("news"))
        await stores.crash()
        later = await stores.open()
        clock.advance(AFTER + 5)
        assert (await later.follow_up_usage()).overdue == 5
        assert (await later.follow_up()).counts == {}, "nobody says yet what a report is: it waits"
        later.report_to(Follows("sms"))
        taken_over = await stores.take_over()
        assert (await later.follow_up()).counts == {}, "its queues are another's by now"
        taken_over.report_to(Follows("sms"))
        assert counted(await taken_over.follow_up()) == {"not_opened": 1}
        assert await bodies(taken_over, "sms") == ["not_opened ann"]

    async def test_a_clock_that_is_set_takes_what_is_due_along(self, store: SqlStore, clock: HostClock) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        store.report_to(Follows("sms"))
        await pushed(store, notification("news"))
        clock.set_by(7200)
        await store.tick()
        assert (await store.follow_up()).counts == {}
        clock.advance(AFTER)
        assert counted(await store.follow_up()) == {"not_opened": 1}

    async def test_follow_ups_go_with_their_notification_and_with_a_person(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        store.report_to(Follows("sms"))
        await pushed(store, notification("news"), notification("news", person="p-1"))
        assert await stores.read(ROWS) == [(2,)]
        await store.erase_person("p-1", actor="ann")
        assert await stores.read(ROWS) == [(1,)]
        clock.advance(AFTER)
        await store.follow_up()
        assert (await store.count_person("p-1"))[Kept.SINK] == 0
        clock.advance(100)
        await store.forget_ended(kept=10)
        assert await stores.read(ROWS) == [(0,)]

    async def test_what_nobody_asks_about_writes_no_follow_up(self, stores: Stores, store: SqlStore) -> None:
        await store.put_installations(HUB, [installation("ann", "news")])
        store.report_to(Told("crm"))
        await pushed(store, notification("news"))
        assert await stores.read(ROWS) == [(0,)]
