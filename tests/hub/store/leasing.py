"""How stores hand out work: oldest first, fenced, and again when a lease has run out."""

from datetime import UTC, datetime

from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import State
from hub.store.base import Audience, PageResult, RetryPage, Store
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, notification
from tests.hub.store.harness import LEASE, Stores, Suite, enqueue, ids, lease, lease_pages, take, went_well


class Leasing(Suite):
    async def test_what_waits_is_leased_once_and_oldest_first(self, store: Store, clock: FakeClock) -> None:
        given = []
        for _ in range(4):
            given.append(notification())
            await enqueue(store, clock, given[-1])
            clock.advance(1)
        assert ids(await lease(store, clock, limit=3)) == [one.id for one in given[:3]]
        assert ids(await lease(store, clock)) == [given[3].id]
        assert not await lease(store, clock)

    async def test_a_retry_that_was_due_first_is_leased_before_younger_notifications(
        self, store: Store, clock: FakeClock
    ) -> None:
        (work,) = await take(store, clock, notification())
        page = RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), due_at=clock(), attempt=1)
        await store.record([PageResult(work=work, counts={}, retries=[page])])
        clock.advance(1)
        younger = [notification() for _ in range(3)]
        await enqueue(store, clock, *younger)
        leased = await lease(store, clock, limit=2)
        assert set(ids(leased)) == {work.notification.id, younger[0].id}
        assert ids(await lease(store, clock)) == [one.id for one in younger[1:]]

    async def test_a_lease_that_ran_out_is_given_to_another_and_its_first_holder_is_too_late(
        self, stores: Stores, store: Store, clock: FakeClock
    ) -> None:
        (first,) = await take(store, clock, notification())
        clock.advance(LEASE - 1)
        assert not await lease(store, clock)
        clock.advance(1)
        (second,) = await lease(store, clock)
        assert second.lease != first.lease
        assert stores.expired == [(Lane.SINGLE, 1)]
        recorded = await store.record([went_well(first)])
        assert (recorded.lost, recorded.ended) == (1, {})
        assert (await store.details(HUB, first.notification.id)).state is State.PROCESSING
        recorded = await store.record([went_well(second)])
        assert (recorded.lost, recorded.ended) == (0, {(HUB, State.COMPLETED): 1})

    async def test_a_renewed_lease_lasts(self, store: Store, clock: FakeClock) -> None:
        kept, left = await take(store, clock, notification(), notification())
        clock.advance(LEASE - 1)
        await store.renew([kept], until=clock() + LEASE)
        clock.advance(1)
        assert ids(await lease(store, clock)) == [left.notification.id]
        assert (await store.record([went_well(kept)])).lost == 0

    async def test_a_lost_lease_is_not_renewed(self, store: Store, clock: FakeClock) -> None:
        (lost,) = await take(store, clock, notification())
        clock.advance(LEASE)
        (held,) = await lease(store, clock)
        await store.renew([lost], until=clock() + 10 * LEASE)
        await store.release([lost])
        assert not await lease(store, clock)
        clock.advance(LEASE)
        assert ids(await lease(store, clock)) == ids([held])

    async def test_work_given_back_is_due_at_once(self, store: Store, clock: FakeClock) -> None:
        (given_back,) = await take(store, clock, notification())
        await store.release([given_back])
        (again,) = await lease(store, clock)
        assert again.notification == given_back.notification
        assert (await store.record([went_well(given_back)])).lost == 1

    async def test_work_given_back_for_later_waits_until_then(self, store: Store, clock: FakeClock) -> None:
        (given_back,) = await take(store, clock, notification())
        await store.release([given_back], due_at=clock() + 5)
        assert not await lease(store, clock)
        clock.advance(5)
        assert len(await lease(store, clock)) == 1

    async def test_pages_are_leased_for_each_platform_as_many_as_it_has_room_for(
        self, store: Store, clock: FakeClock
    ) -> None:
        pages = [(platform, BitMap([number])) for platform in (Platform.APNS, Platform.FCM) for number in range(4)]
        (work,) = await take(store, clock, notification())
        await store.expand(work, Audience(pages=pages), started_at=clock())
        assert not await lease(store, clock)
        wanted = {(HUB, Platform.APNS): 1, (HUB, Platform.FCM): 3, (HUB, Platform.WNS): 3, ("other", Platform.FCM): 9}
        leased = await store.lease_pages(wanted, until=clock() + LEASE)
        assert [(page.platform, list(page.ordinals or ())) for page in leased] == [
            (Platform.APNS, [0]),
            (Platform.FCM, [0]),
            (Platform.FCM, [1]),
            (Platform.FCM, [2]),
        ]
        assert {page.lane for page in leased} == {Lane.BROADCAST}
        assert [list(page.ordinals or ()) for page in await lease_pages(store, clock, HUB)] == [[1], [2], [3], [3]]

    async def test_pages_that_nobody_serves_are_leased_once_their_notification_is_at_its_end(
        self, store: Store, clock: FakeClock
    ) -> None:
        soon = datetime.fromtimestamp(clock() + 5, UTC)
        forever, brief = notification(), notification(expires_at=soon)
        apns, fcm = (Platform.APNS, BitMap([1])), (Platform.FCM, BitMap([2]))
        for work in await take(store, clock, forever, brief):
            await store.expand(work, Audience(pages=[apns, fcm]), started_at=clock())
        await enqueue(store, clock, notification(schedule_at=soon))
        clock.advance(5)
        (scheduled,) = await lease(store, clock)
        await store.expand(scheduled, Audience(pages=[fcm]), started_at=clock())

        async def orphaned(*served: tuple[str, Platform], begun_before: float, limit: int = 9) -> list[tuple[str, str]]:
            pages = await store.lease_orphans(served, limit, begun_before=begun_before, until=clock() + LEASE)
            await store.release(pages)
            assert {page.lane for page in pages} <= {Lane.BROADCAST}
            return sorted((page.notification.id, str(page.platform)) for page in pages)

        begun = clock() - 5
        ours = [(HUB, Platform.APNS), (HUB, Platform.FCM)]
        assert await orphaned(*ours, begun_before=clock()) == []
        assert await orphaned(*ours[:1], begun_before=begun - 1) == [(brief.id, "Platform.FCM")]
        of_fcm = sorted((one.id, "Platform.FCM") for one in (forever, brief))
        assert await orphaned(*ours[:1], ("other", Platform.FCM), begun_before=begun) == of_fcm
        assert len(await orphaned(begun_before=begun)) == 4
        assert len(await orphaned(begun_before=clock())) == 5
        assert len(await orphaned(begun_before=clock(), limit=3)) == 3

    async def test_the_lease_of_a_page_is_fenced_renewed_and_given_back_like_any(
        self, stores: Stores, store: Store, clock: FakeClock
    ) -> None:
        (work,) = await take(store, clock, notification())
        await store.expand(work, Audience(pages=[(Platform.FCM, BitMap([7]))]), started_at=clock())
        (page,) = await lease_pages(store, clock, HUB)
        clock.advance(LEASE - 1)
        await store.renew([page], until=clock() + LEASE)
        clock.advance(LEASE - 1)
        assert not await lease_pages(store, clock, HUB)
        clock.advance(1)
        (again,) = await lease_pages(store, clock, HUB)
        assert stores.expired == [(Lane.BROADCAST, 1)]
        assert (await store.record([went_well(page)])).lost == 1
        await store.release([again], due_at=clock())
        (last,) = await lease_pages(store, clock, HUB)
        assert last.ordinals == BitMap([7])
        assert (await store.record([went_well(last)])).ended == {(HUB, State.COMPLETED): 1}

    async def test_a_notification_under_a_lost_lease_is_not_expanded(self, store: Store, clock: FakeClock) -> None:
        (lost,) = await take(store, clock, notification())
        clock.advance(LEASE)
        (held,) = await lease(store, clock)
        await store.expand(lost, Audience(pages=[(Platform.FCM, BitMap([1]))]), started_at=clock())
        assert not await lease_pages(store, clock, HUB)
        assert (await store.record([went_well(held)])).lost == 0

    async def test_waits_stay_as_long_as_they_were_when_the_clock_is_set_back(
        self, store: Store, clock: FakeClock
    ) -> None:
        at = datetime.fromtimestamp(clock() + 60, UTC)
        scheduled, waiting, postponed = notification(schedule_at=at), notification(), notification()
        expanded, later = await take(store, clock, notification(), postponed)
        await store.release([later], due_at=clock() + 30)
        await store.expand(expanded, Audience(pages=[(Platform.FCM, BitMap([1]))]), started_at=clock())
        await enqueue(store, clock, scheduled, waiting)
        clock.advance(-7200)
        await store.set_back(7200)
        assert ids(await lease(store, clock)) == [waiting.id]
        assert ids(await lease_pages(store, clock, HUB)) == ids([expanded])
        clock.advance(30)
        assert ids(await lease(store, clock)) == [postponed.id]
        clock.advance(7200 + 30)
        assert scheduled.id in ids(await lease(store, clock))

    async def test_who_holds_a_lease_keeps_it_when_the_clock_is_set_back(self, store: Store, clock: FakeClock) -> None:
        before = await take(store, clock, notification())
        clock.advance(-7200)
        since = await take(store, clock, notification())  # until the clock is looked at
        await store.set_back(7200)
        assert not await lease(store, clock)
        await store.renew([*before, *since], until=clock() + LEASE)
        clock.advance(LEASE)
        assert sorted(ids(await lease(store, clock))) == sorted(ids([*before, *since]))

    async def test_what_a_process_left_before_the_clock_was_set_back_is_due_when_the_store_is_opened(
        self, stores: Stores, store: Store, clock: FakeClock
    ) -> None:
        waiting, left = notification(), notification()
        (work,) = await take(store, clock, left)
        await enqueue(store, clock, waiting)
        await store.close()
        clock.advance(-7200)
        again = await stores.open()
        assert sorted(ids(await lease(again, clock))) == sorted([waiting.id, left.id])
        assert (await again.record([went_well(work)])).lost == 1
