"""How stores keep what quiet hours hold: whole notifications, and parts of them, until a time of day."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pyroaring import BitMap

from hub.acceptance import Ingest
from hub.flow import RuleFlow
from hub.installation import Installation
from hub.notification import PLATFORM_NAMED, Platform
from hub.outcome import DeviceAnswer, OutcomeName, State
from hub.quiet import Fate, OnQuiet, QuietHours
from hub.store.contracts.outbox import PACED, Audience, DroppedPart, HeldPart, PageResult, QuietUsage, RetryPage, Work
from hub.store.contracts.telemetry import QuietHold
from hub.store.store import SqlStore
from hub.windows import Window
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, installation, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, everything, ids, take, take_pages, went_well
from tests.hub.store.suite.tracing import started, template_of

NIGHT = QuietHours(window=Window(name="night", times=((22 * 60, 7 * 60),)), zone="Europe/Zurich")
HOUR = 3600.0


def in_zone(name: str, zone: str) -> Installation:
    return replace(installation(name, "news"), time_zone=zone)


def held_until(platform: Platform, ordinals: BitMap, until: float) -> HeldPart:
    return HeldPart(platform=platform, ordinals=ordinals, until=until, zones=["Europe/Zurich"])


async def holds(store: SqlStore) -> dict[str, QuietHold | None]:
    """What the list says that quiet hours hold, by notification; who asks for one is told the same."""
    listed = {each.id: each.quiet_hold for each in (await store.notifications(limit=100)).items}
    assert listed == {each: (await store.notification(each)).quiet_hold for each in listed}
    return listed


def withdrawing(key: str) -> Ingest:
    flow = RuleFlow(rule="decided", event_id="e", cancels=key.encode())
    return Ingest(source="shop", event_id="e", flow=[flow], remember=True)


async def with_one_held(store: SqlStore, until: float, **changes: Any) -> tuple[Work, BitMap]:
    """A notification for two phones, one of which was pushed to; the other is held."""
    work, ordinals = await started(store, installation("a", "news"), installation("b", "news"), quiet=NIGHT, **changes)
    part = held_until(Platform.FCM, BitMap([ordinals[1]]), until)
    retry = RetryPage(platform=Platform.FCM, ordinals=part.ordinals, delay=None, attempt=0, quiet=part)
    counts = {Platform.FCM: {OutcomeName.SUCCESS: 1}}
    await store.record([PageResult(work=work, counts=counts, ordinals=ordinals, done=2, retries=[retry])])
    return work, ordinals


class Quieting(Suite):
    async def test_quiet_hours_come_back_as_they_were_accepted(self, store: SqlStore) -> None:
        window = replace(NIGHT.window, days=frozenset([0, 4]), except_=frozenset([datetime(2026, 8, 1).date()]))
        quiet = QuietHours(window=window, on_quiet=OnQuiet.SILENT, zone="Asia/Tokyo", expire=600.0)
        (work,) = await begin(store, notification(quiet=quiet))
        assert (await store.sent(work.notification.id)).quiet == quiet

    async def test_a_held_part_is_taken_when_its_time_of_day_has_come_and_counts_its_age_from_there(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        until = clock() + 8 * HOUR
        work, ordinals = await with_one_held(store, until)
        await store.sum_up()
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        assert await store.quiet() == QuietUsage(pushes={HUB: 1})
        clock.advance(8 * HOUR - 1)
        assert not await take(store)
        clock.advance(1)
        (page,) = await take(store)
        assert (page.ordinals, page.quiet_until, page.lane) == (BitMap([ordinals[1]]), until, Lane.SINGLE)
        assert (await store.quiet(), store.released()) == (QuietUsage(), QuietUsage(pushes={HUB: 1}))
        await store.record([went_well(page)])
        await store.sum_up()
        assert (await store.details(HUB, work.notification.id)).state is State.COMPLETED

    async def test_a_push_that_failed_after_its_night_is_tried_again_as_young_as_it_is(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        until = clock() + HOUR
        await with_one_held(store, until)
        clock.advance(HOUR)
        (page,) = await take(store)
        assert page.ordinals is not None
        retry = RetryPage(platform=Platform.FCM, ordinals=page.ordinals, delay=5.0, attempt=1)
        await store.record([PageResult(work=page, counts={}, done=1, retries=[retry])])
        clock.advance(5)
        (again,) = await take(store)
        assert (again.quiet_until, again.attempt) == (until, 1)

    async def test_a_held_part_outlives_a_killed_process(self, stores: Stores, clock: HostClock) -> None:
        store = await stores.open()
        work, _ = await with_one_held(store, clock() + HOUR)
        await stores.crash()
        store = await stores.open()
        assert not await take(store)
        clock.advance(HOUR)
        assert ids(await take(store)) == [work.notification.id]

    async def test_a_night_ends_by_the_clock_on_the_wall(self, store: SqlStore, clock: HostClock) -> None:
        work, _ = await with_one_held(store, clock() + HOUR)
        clock.set_by(HOUR)
        await store.tick()
        assert ids(await take(store)) == [work.notification.id]

    async def test_who_cancels_a_notification_cancels_what_is_held_of_it(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        work, _ = await with_one_held(store, clock() + HOUR)
        assert await store.stop(work.notification.id, actor="ann") == HUB
        clock.advance(2 * HOUR)
        assert not await take(store)
        details = await store.details(HUB, work.notification.id)
        assert (details.state, details.counts) == (State.CANCELLED, {Platform.FCM: {OutcomeName.SUCCESS: 1}})
        assert await store.quiet() == QuietUsage()

    async def test_a_key_withdraws_what_quiet_hours_hold_and_nothing_that_has_begun(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        held, _ = await with_one_held(store, clock() + HOUR, flow_key=b"order 1")
        (begun,) = await begin(store, notification("news", quiet=NIGHT, flow_key=b"order 1"))
        await store.accept([withdrawing("order 1")], start=0)
        states = [(await store.details(HUB, work.notification.id)).state for work in (held, begun)]
        assert states == [State.CANCELLED, State.PROCESSING]
        clock.advance(2 * HOUR)
        assert not await take(store)
        assert await store.quiet() == QuietUsage()

    async def test_why_says_until_when_a_push_is_held_and_by_which_window(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        until = datetime(2027, 1, 15, 6, 0, tzinfo=UTC).timestamp()
        clock.time_of_day = until - HOUR
        work, _ = await with_one_held(store, until)
        answers = {name: await template_of(store, work.notification, name) for name in "ab"}
        assert [answers[name].answer for name in "ab"] == [DeviceAnswer.DELIVERED, DeviceAnswer.QUIET_HOURS]
        assert answers["b"].reason == "held by quiet hours of window night until 07:00 Europe/Zurich"
        assert answers["b"].due_at == until
        clock.advance(HOUR)
        await take(store)
        assert (await template_of(store, work.notification, "b")).answer is DeviceAnswer.WAITING

    async def test_a_list_says_of_each_notification_how_many_pushes_are_held_and_until_when(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        one, _ = await with_one_held(store, first := clock() + HOUR)
        (broadcast, plain) = await begin(store, notification(quiet=NIGHT), notification())
        ends = [first, first, first + 7 * HOUR]
        parts = [
            held_until(Platform.FCM, BitMap(range(2000 * number, 2000 * number + 1500)), end)
            for number, end in enumerate(ends)
        ]
        await store.expand(broadcast, Audience(pages=[(Platform.FCM, BitMap(range(9000, 9400)))], held=parts))

        def listed(*of: QuietHold | None) -> dict[str, QuietHold | None]:
            return dict(zip([work.notification.id for work in (one, broadcast, plain)], of, strict=True))

        single = QuietHold(window="night", pushes=1, first_end=first, last_end=first)
        later = QuietHold(window="night", pushes=1500, first_end=first + 7 * HOUR, last_end=first + 7 * HOUR)
        assert await holds(store) == listed(single, replace(later, pushes=4500, first_end=first), None)
        clock.advance(HOUR)
        await take(store)
        assert await holds(store) == listed(None, later, None)
        await store.stop(broadcast.notification.id, actor="ann")
        assert await holds(store) == listed(None, None, None)

    async def test_a_list_says_until_when_a_notification_is_held_whole(self, store: SqlStore, clock: HostClock) -> None:
        quiet = replace(NIGHT, window=replace(NIGHT.window, zone="Europe/Zurich"))
        (work,) = await begin(store, notification(quiet=quiet))
        until = clock() + HOUR
        await store.hold_until([(work, until)])
        hold = QuietHold(window="night", pushes=None, first_end=until, last_end=until)
        assert await holds(store) == {work.notification.id: hold}
        clock.advance(HOUR)
        await take(store)
        assert await holds(store) == {work.notification.id: None}

    async def test_a_large_part_is_cut_into_pages_when_it_goes_on(self, store: SqlStore, clock: HostClock) -> None:
        (work,) = await begin(store, notification(quiet=NIGHT))
        until = clock() + HOUR
        parts = [held_until(Platform.FCM, BitMap(range(2500)), until)]
        dropped = [DroppedPart(platform=Platform.WNS, ordinals=BitMap(range(3000, 3007)), fate=Fate.DROPPED)]
        pages = [(Platform.FCM, BitMap(range(4000, 4400)))]
        await store.expand(work, Audience(pages=pages, held=parts, dropped=dropped))
        (now,) = await take_pages(store)
        await store.record([went_well(now, 400)])
        await store.sum_up()
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING
        assert await store.quiet() == QuietUsage(pushes={HUB: 2500})
        clock.advance(HOUR)
        assert not await take(store)
        later = await take_pages(store)
        assert sorted(len(page.ordinals or ()) for page in later) == [500, 1000, 1000]
        assert BitMap.union(*[page.ordinals or BitMap() for page in later]) == BitMap(range(2500))
        await store.record([went_well(page, len(page.ordinals or ())) for page in later])
        await store.sum_up()
        details = await store.details(HUB, work.notification.id)
        assert details.state is State.COMPLETED
        assert details.counts == {
            Platform.FCM: {OutcomeName.SUCCESS: 2900},
            Platform.WNS: {OutcomeName.ABANDONED: 7},
        }

    async def test_a_notification_of_which_all_is_dropped_ends(self, store: SqlStore) -> None:
        (work,) = await begin(store, notification(quiet=NIGHT))
        dropped = [DroppedPart(platform=Platform.FCM, ordinals=BitMap(range(1500)), fate=Fate.DROPPED)]
        await store.expand(work, Audience(dropped=dropped))
        await store.sum_up()
        assert (await store.details(HUB, work.notification.id)).state is State.ABANDONED

    async def test_a_notification_that_is_held_whole_waits_and_goes_on_with_a_new_audience(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        quiet = replace(NIGHT, window=replace(NIGHT.window, zone="Europe/Zurich"))
        work, _ = await started(store, installation("a", "news"), quiet=quiet)
        until = clock() + HOUR
        await store.hold_until([(work, until)])
        assert not await take(store)
        assert (await store.quiet(), store.released()) == (QuietUsage(notifications={HUB: 1}), QuietUsage())
        assert (await template_of(store, work.notification, "a")).answer is DeviceAnswer.QUIET_HOURS
        clock.advance(HOUR)
        (again,) = await take(store)
        assert store.released() == QuietUsage(notifications={HUB: 1})
        assert (again.notification.schedule_at or datetime.min.replace(tzinfo=UTC)).timestamp() == until
        assert again.ordinals is None

    async def test_a_night_takes_a_notification_out_of_the_place_in_which_it_waited_and_ends_all_the_same(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        closed = (HUB, Platform.APNS)
        rate = (HUB, PLATFORM_NAMED[PACED + "rule"])
        for place in (rate, closed):
            (work,) = await begin(store, notification(quiet=NIGHT))
            await store.postpone([work], delay=0.0, service=place)
            (again,) = await store.take(Lane.SINGLE, {place: 1})
            until = clock() + HOUR
            await store.hold_until([(again, until)])
            assert await store.quiet() == QuietUsage(notifications={HUB: 1})
            assert not await store.take(Lane.SINGLE, everything() | {place: 1})
            clock.advance(HOUR)
            assert ids(await take(store)) == [work.notification.id]

    async def test_a_key_takes_the_held_parts_of_what_has_a_page_under_way_and_this_ends_once(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, notification(quiet=NIGHT, flow_key=b"order 1"))
        held = [held_until(Platform.FCM, BitMap([1, 2]), clock() + HOUR)]
        await store.expand(work, Audience(pages=[(Platform.FCM, BitMap([3]))], held=held))
        (page,) = await take_pages(store)
        result = await store.accept([withdrawing("order 1")], start=0)
        assert not any(result.withdrawn.values()), "who is told of it counts it as ended"
        await store.record([went_well(page)])
        assert (await store.sum_up()).ended == {(HUB, State.COMPLETED): 1}
        clock.advance(HOUR)
        assert not await take(store)

    async def test_a_part_that_is_withdrawn_while_it_is_released_is_not_sent(
        self, store: SqlStore, clock: HostClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (work,) = await begin(store, notification(quiet=NIGHT, flow_key=b"order 1"))
        await store.expand(work, Audience(held=[held_until(Platform.FCM, BitMap(range(2500)), clock() + HOUR)]))
        clock.advance(HOUR)
        queues = store._outbox.queues
        numbers = queues.numbers

        async def withdrawn_then(queue: int, count: int) -> range:
            monkeypatch.setattr(queues, "numbers", numbers)
            await store.accept([withdrawing("order 1")], start=0)
            return await numbers(queue, count)

        monkeypatch.setattr(queues, "numbers", withdrawn_then)
        assert not await take(store)
        assert not await take_pages(store)
        assert (await store.details(HUB, work.notification.id)).state is State.CANCELLED

    async def test_who_cancels_a_notification_that_is_held_whole_ends_it(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, notification(quiet=NIGHT))
        await store.hold_until([(work, clock() + HOUR)])
        assert await store.cancel(HUB, work.notification.id)
        clock.advance(HOUR)
        assert not await take(store)

    async def test_phones_are_found_by_the_zone_that_they_say_now(self, store: SqlStore) -> None:
        await store.put_installations(
            HUB,
            [
                in_zone("zurich", "Europe/Zurich"),
                in_zone("tokyo", "Asia/Tokyo"),
                installation("nowhere", "news"),
                replace(installation("said", "news"), push_variables={"timezone": "Asia/Tokyo"}),
                replace(installation("wrong", "news"), push_variables={"timeZone": "Mars/Base"}),
            ],
        )

        async def by_zone() -> dict[str, set[str]]:
            names: dict[str, set[str]] = {}
            for zone, ordinals in (await store.zones(HUB)).items():
                targets = await store.targets(HUB, ordinals)
                names[zone] = {each.push_channel.removeprefix("token of ") for each in targets}
                assert {each.time_zone for each in targets} == {zone}
            return names

        assert await by_zone() == {"Europe/Zurich": {"zurich"}, "Asia/Tokyo": {"tokyo", "said"}}
        await store.put_installations(HUB, [in_zone("zurich", "America/New_York"), installation("tokyo", "news")])
        assert await by_zone() == {"America/New_York": {"zurich"}, "Asia/Tokyo": {"said"}}
        while await store.fold():
            pass
        await store.delete_installation(HUB, "said")
        assert await by_zone() == {"America/New_York": {"zurich"}}

    async def test_zones_of_a_hub_without_phones_are_none(self, store: SqlStore) -> None:
        assert await store.zones("nobody") == {}

    async def test_imported_phones_are_found_by_their_zone(self, store: SqlStore) -> None:
        await store.import_installations(HUB, [in_zone("a", "Asia/Tokyo"), in_zone("b", "Asia/Tokyo")])
        ((zone, ordinals),) = (await store.zones(HUB)).items()
        assert (zone, len(ordinals)) == ("Asia/Tokyo", 4), "each has a native and a template registration"
