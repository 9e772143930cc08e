"""How stores hand out work: by service, in order of due, each piece once, whatever happens to its owner."""

import asyncio
from datetime import UTC, datetime

from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import State
from hub.store.contracts.outbox import Audience, PageResult, RetryPage, Service, Work
from hub.store.rows import service_key
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, arrivals, notification
from tests.hub.store.suite.harness import (
    WHOLE,
    Stores,
    Suite,
    begin,
    enqueue,
    everything,
    ids,
    take,
    take_pages,
    went_well,
)

APNS, FCM = (HUB, Platform.APNS), (HUB, Platform.FCM)
HOUR = 3600.0


async def deferred(store: SqlStore, count: int, service: Service, *, delay: float = 0.0) -> list[str]:
    """Notifications that wait for a service, because it was found closed."""
    work = await begin(store, *(notification() for _ in range(count)))
    await store.postpone(work, delay=delay, service=service)
    return ids(work)


class Taking(Suite):
    async def test_what_waits_is_taken_once_and_in_order_of_due(self, store: SqlStore, clock: HostClock) -> None:
        given = []
        for _ in range(4):
            given.append(notification())
            await enqueue(store, given[-1])
            clock.advance(1)
        assert ids(await take(store, limit=3)) == [one.id for one in given[:3]]
        assert ids(await take(store)) == [given[3].id]
        assert not await take(store)

    async def test_a_notification_keeps_its_trace(self, store: SqlStore) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await enqueue(store, notification(trace=trace, tracestate="rojo=1"), notification(trace=trace), notification())
        kept = {(work.notification.trace, work.notification.tracestate) for work in await take(store)}
        assert kept == {(trace, "rojo=1"), (trace, ""), ("", "")}
        listed = (await store.notifications(after="", limit=10)).items
        assert sorted(each.trace for each in listed) == ["", trace, trace]

    async def test_taking_writes_nothing_and_a_killed_process_leaves_all_to_the_next(
        self, stores: Stores, store: SqlStore
    ) -> None:
        given = [notification() for _ in range(3)]
        await begin(store, given[0])
        await enqueue(store, *given[1:])
        await take(store, limit=1)
        await stores.crash()
        again = await stores.open()
        assert ids(await take(again)) == [one.id for one in given]

    async def test_a_retry_that_was_due_first_is_taken_before_younger_notifications(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, notification())
        page = RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), delay=0, attempt=1)
        await store.record([PageResult(work=work, counts={}, retries=[page])])
        clock.advance(1)
        younger = [notification() for _ in range(3)]
        await enqueue(store, *younger)
        taken = await take(store, limit=2)
        assert ids(taken) == [work.notification.id, younger[0].id, younger[1].id]  # two of each service
        assert ids(await take(store)) == [younger[2].id]

    async def test_what_waits_for_one_service_waits_apart(self, store: SqlStore, clock: HostClock) -> None:
        for_apns = await deferred(store, 3, APNS)
        clock.advance(1)
        for_fcm = await deferred(store, 2, FCM)
        new = notification()
        await enqueue(store, new)
        assert ids(await store.take(Lane.SINGLE, {FCM: 1})) == for_fcm[:1]
        assert ids(await store.take(Lane.SINGLE, {FCM: 5, None: 5})) == [for_fcm[1], new.id]
        taken = await store.take(Lane.SINGLE, {APNS: 2})
        assert ids(taken) == for_apns[:2]
        assert {piece.service for piece in taken} == {APNS}
        assert all(piece.was_deferred for piece in taken)

    async def test_a_service_that_is_not_asked_hides_no_other(self, store: SqlStore, clock: HostClock) -> None:
        await deferred(store, 500, APNS)
        (mine,) = await deferred(store, 1, FCM)
        assert ids(await store.take(Lane.SINGLE, {FCM: 1})) == [mine]

    async def test_work_given_back_is_due_at_once(self, store: SqlStore, clock: HostClock) -> None:
        (given_back,) = await begin(store, notification())
        clock.advance(1)
        await enqueue(store, notification())
        assert len(await take(store)) == 1  # behind it
        await store.give_back([given_back])
        (again,) = await take(store)
        assert again.notification == given_back.notification
        assert not again.was_deferred

    async def test_work_postponed_without_a_delay_keeps_its_place(self, store: SqlStore, clock: HostClock) -> None:
        """What waits for a service that is away goes out in the order in which it was accepted."""
        first, second, third = notification(), notification(), notification()
        pieces: list[Work] = []
        for one in (first, second, third):
            pieces += await begin(store, one)
            clock.advance(1)
        for piece in reversed(pieces):
            await store.postpone([piece], delay=0, service=(HUB, Platform.FCM))
            clock.advance(1)
        assert ids(await take(store)) == ids(pieces)

    async def test_work_postponed_waits_until_then_and_says_so(self, store: SqlStore, clock: HostClock) -> None:
        (postponed,) = await begin(store, notification())
        await store.postpone([postponed], delay=5)
        assert not await take(store)
        clock.advance(5)
        (again,) = await take(store)
        assert (again.was_deferred, again.due_at, again.service) == (True, clock(), None)

    async def test_what_was_left_behind_the_reader_is_found_within_seconds(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        """What another process wrote with an earlier time, as it does whose commit took long."""
        await enqueue(store, notification())
        clock.advance(1)
        await enqueue(store, notification())
        assert len(await take(store)) == 2
        clock.set_by(-0.4)  # no step yet
        clock.advance(0.1)  # the store looks at the wall again
        late = notification()
        await enqueue(store, late)
        assert ids(await take(store)) == [late.id]

    async def test_nothing_is_taken_twice_while_its_acceptance_returns(self, store: SqlStore) -> None:
        given = [notification() for _ in range(300)]
        started: list[Work] = []

        async def accept(batch: list[str]) -> None:
            mine = [one for one in given if one.id in batch]
            started.extend((await store.accept(arrivals(mine), start=7)).work)

        taken: list[Work] = []
        batches = [[one.id for one in given[number : number + 10]] for number in range(0, 300, 10)]
        tasks = [asyncio.create_task(accept(batch)) for batch in batches]
        while not all(task.done() for task in tasks):
            taken += await take(store, limit=20)
        taken += await take(store)
        assert len(started) == 210
        assert sorted(ids([*started, *taken])) == sorted(one.id for one in given)

    async def test_nothing_is_taken_again_while_its_record_returns(self, store: SqlStore) -> None:
        work = await begin(store, *(notification() for _ in range(200)))
        tasks = [asyncio.create_task(store.record([went_well(piece)])) for piece in work]
        while not all(task.done() for task in tasks):
            assert not await take(store)

    async def test_pages_are_taken_for_each_platform_as_many_as_it_has_room_for(self, store: SqlStore) -> None:
        pages = [(platform, BitMap([number])) for platform in (Platform.APNS, Platform.FCM) for number in range(4)]
        (work,) = await begin(store, notification())
        await store.expand(work, Audience(pages=pages))
        assert not await take(store)
        wanted: dict[Service | None, int] = {APNS: 1, FCM: 3, (HUB, Platform.WNS): 3, ("other", Platform.FCM): 9}
        taken = await store.take(Lane.BROADCAST, wanted)
        assert [(page.service, list(page.ordinals or ())) for page in taken] == [
            (APNS, [0]),
            (FCM, [0]),
            (FCM, [1]),
            (FCM, [2]),
        ]
        assert {page.lane for page in taken} == {Lane.BROADCAST}
        assert len({page.number for page in taken} | {0}) == 5
        assert [list(page.ordinals or ()) for page in await take_pages(store)] == [[1], [2], [3], [3]]

    async def test_orphans_are_taken_once_their_notification_is_at_its_end(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        soon = datetime.fromtimestamp(clock() + 5, UTC)
        forever, brief = notification(), notification(expires_at=soon)
        apns, fcm = (Platform.APNS, BitMap([1])), (Platform.FCM, BitMap([2]))
        for work in await begin(store, forever, brief):
            await store.expand(work, Audience(pages=[apns, fcm]))
        await enqueue(store, notification(schedule_at=soon))
        (single,) = await deferred(store, 1, FCM)
        clock.advance(5)
        (scheduled,) = await store.take(Lane.SINGLE, {None: 1})
        await store.expand(scheduled, Audience(pages=[fcm]))

        async def orphaned(*served: Service, waited: float, limit: int = 9) -> list[tuple[str, str]]:
            pages = await store.take_orphans(served, limit, waited=waited)
            await store.give_back(pages)
            return sorted((page.notification.id, service_key(page.service)) for page in pages)

        assert await orphaned(APNS, FCM, waited=0) == []
        assert await orphaned(APNS, waited=6) == [(brief.id, service_key(FCM))]
        of_fcm = sorted((one, service_key(FCM)) for one in (forever.id, brief.id, single))
        assert await orphaned(APNS, ("other", Platform.FCM), waited=5) == of_fcm
        assert len(await orphaned(waited=5)) == 5
        assert len(await orphaned(waited=0)) == 6
        assert len(await orphaned(waited=0, limit=3)) == 3
        in_hand = await store.take_orphans([APNS], 2, waited=0)
        assert len(await orphaned(APNS, waited=0)) == 2
        assert not {piece.n for piece in in_hand} & {piece.n for piece in await store.take(Lane.SINGLE, {FCM: 9})}

    async def test_work_that_no_process_serves_stays_in_hand_where_there_is_no_other(self, store: SqlStore) -> None:
        work = await begin(store, notification(), notification(hub="unknown"))
        store.serve(lambda: [FCM], lambda: [HUB])
        assert await store.pass_on(work, waited=1e6) == work
        assert not await take(store)
        assert not store.serves_better(APNS)

    async def test_an_owner_that_lost_its_queue_changes_nothing(self, stores: Stores, store: SqlStore) -> None:
        expanded, postponed, recorded = await begin(store, *(notification() for _ in range(3)))
        owner = await stores.take_over()
        taken = await take(owner)
        assert ids(taken) == ids([expanded, postponed, recorded])
        await store.expand(expanded, Audience(pages=[(Platform.FCM, BitMap([1]))]))
        await store.postpone([postponed], delay=0, service=FCM)
        assert (await store.record([went_well(recorded)])).late == 1
        assert not await take_pages(owner)
        assert (await owner.record([went_well(piece) for piece in taken])).late == 0

    async def test_an_owner_notices_with_its_beat_that_its_queue_is_lost(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await enqueue(store, notification())
        await stores.take_over()
        clock.advance(10)
        await store.tick()
        assert not await take(store)

    async def test_a_clock_that_is_set_delays_and_hurries_nothing_but_schedules(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        for step in (-2 * HOUR, 2 * HOUR, -48 * HOUR):
            start = store.now()
            at = datetime.fromtimestamp(clock() + 60, UTC)
            scheduled, waiting, postponed = notification(schedule_at=at), notification(), notification()
            expanded, later, in_hand = await begin(store, notification(), postponed, notification())
            await store.postpone([later], delay=30)
            await store.expand(expanded, Audience(pages=[(Platform.FCM, BitMap([1]))]))
            await enqueue(store, scheduled, waiting)
            clock.set_by(step)
            assert store.now() == start
            await store.tick()
            assert store.now() == start + step
            taken = [*await take(store), *await take_pages(store)]
            due = [waiting.id, expanded.notification.id] + ([scheduled.id] if step > 0 else [])
            assert sorted(ids(taken)) == sorted(due)
            moved = [piece for piece in (*taken, in_hand) if piece.notification.schedule_at is None]
            assert {store.now() - piece.accepted_at for piece in moved} == {0.0}
            clock.advance(30)
            assert ids(await take(store)) == [postponed.id]
            assert (await store.details(HUB, postponed.id)).enqueued_at.timestamp() == store.now() - 30
            clock.advance(abs(step) + 30)  # what was scheduled follows the clock on the wall
            assert [one for one in await take(store) if one.notification.id == scheduled.id] or step > 0

    async def test_a_clock_that_was_set_back_while_no_process_ran_delays_nothing(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        waiting, left = notification(), notification()
        await begin(store, left)
        await enqueue(store, waiting)
        clock.advance(10)
        await store.tick()
        await store.close()
        clock.set_by(-2 * HOUR)
        again = await stores.open()
        taken = await take(again)
        assert sorted(ids(taken)) == sorted([waiting.id, left.id])
        assert {again.now() - piece.accepted_at for piece in taken} == {10.0}

    async def test_what_is_scheduled_in_numbers_is_released_in_order(self, store: SqlStore, clock: HostClock) -> None:
        at = datetime.fromtimestamp(clock() + 60, UTC)
        given = [notification(schedule_at=at) for _ in range(1500)]
        await enqueue(store, *given)
        clock.advance(60)
        taken = [*await take(store), *await take(store)]
        assert ids(taken) == [one.id for one in given]
        assert (await store.details(HUB, given[0].id)).state is State.PROCESSING

    async def test_what_is_cancelled_while_it_is_in_hand_is_withdrawn_and_not_taken_again(
        self, stores: Stores, store: SqlStore
    ) -> None:
        single, broadcast = await begin(store, notification(), notification())
        await store.expand(broadcast, Audience(pages=[(Platform.FCM, BitMap([n])) for n in range(3)]))
        (page,) = await take_pages(store, Platform.FCM, limit=1)
        for work in (single, broadcast):
            assert await store.stop(work.notification.id, actor="ann") == HUB
            assert await store.stop(work.notification.id, actor="ann") is None
        assert single.is_withdrawn
        assert page.is_withdrawn
        assert (await store.record([went_well(single), went_well(page)])).ended == {}
        await stores.crash()
        again = await stores.open()
        assert not [*await take(again), *await take_pages(again)]
        assert (await again.details(HUB, single.notification.id)).state is State.CANCELLED

    async def test_opening_says_how_much_was_due(self, stores: Stores, store: SqlStore) -> None:
        await begin(store, notification())
        await enqueue(store, notification())
        await deferred(store, 1, FCM, delay=60)
        await store.close()
        await stores.open()
        assert stores.due == 2

    async def test_what_is_in_hand_is_passed_once(self, store: SqlStore) -> None:
        """A full hand does not hide what waits behind it."""
        await begin(store, *(notification() for _ in range(1000)))
        last = notification()
        await enqueue(store, last)
        assert ids(await store.take(Lane.SINGLE, everything(limit=1))) == [last.id]
        assert not await store.take(Lane.SINGLE, everything(limit=WHOLE))
