"""What stores know of their work, and how they forget."""

import pytest
from pyroaring import BitMap

from hub.acceptance import Ingest
from hub.errors import NotFoundError
from hub.notification import EVERYONE, NativeContent, Platform
from hub.outcome import OutcomeName, State
from hub.store.base import Audience, Failed, PageResult, QueueState, RetryPage, Store
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, notification
from tests.hub.store.accepting import dead_letter
from tests.hub.store.harness import Suite, enqueue, lease, lease_pages, take, went_well


class Keeping(Suite):
    async def test_details_say_what_was_sent_to_whom(self, store: Store, clock: FakeClock) -> None:
        template = notification("a && !b", platforms=frozenset([Platform.WNS, Platform.APNS]))
        native = notification(EVERYONE, content=NativeContent(platform=Platform.FCM, payload="{ü}".encode()))
        await enqueue(store, clock, template, native)
        details = await store.details(HUB, template.id)
        assert (details.state, details.tags, details.body) == (State.ENQUEUED, "a && !b", '{"title":"hello"}')
        assert details.platforms == (Platform.APNS, Platform.WNS)
        assert (details.started_at, details.ended_at, details.counts) == (None, None, {})
        details = await store.details(HUB, native.id)
        assert (details.tags, details.body, details.platforms) == ("", "{ü}", (Platform.FCM,))

    async def test_details_of_an_unknown_notification_or_hub_are_not_found(
        self, store: Store, clock: FakeClock
    ) -> None:
        known = notification()
        await enqueue(store, clock, known)
        for hub, notification_id in ((HUB, "0" * 32), ("other", known.id)):
            with pytest.raises(NotFoundError):
                await store.details(hub, notification_id)

    async def test_an_empty_store_has_nothing_waiting(self, store: Store) -> None:
        assert await store.pending() == 0
        assert await store.queue_states() == {lane: QueueState() for lane in Lane}

    async def test_queues_are_counted_by_lane_ready_leased_and_delayed(self, store: Store, clock: FakeClock) -> None:
        start = clock()
        retried, expanded, _leased = await take(store, clock, *(notification() for _ in range(3)))
        retries = [
            RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), due_at=start + wait, attempt=1) for wait in (5, 50)
        ]
        await store.record([PageResult(work=retried, counts={}, retries=retries)])
        await store.expand(
            expanded, Audience(pages=[(Platform.FCM, BitMap([number])) for number in range(3)]), started_at=start
        )
        (page,) = await lease_pages(store, clock, HUB, limit=1)
        clock.advance(8)
        await enqueue(store, clock, notification())
        clock.advance(2)
        assert await store.queue_states() == {
            Lane.SINGLE: QueueState(ready=2, leased=1, delayed=1, oldest_ready=start + 5),
            Lane.BROADCAST: QueueState(ready=2, leased=1, delayed=0, oldest_ready=start),
        }
        assert await store.pending() == 7
        await store.record([went_well(page)])
        assert await store.pending() == 6

    async def test_what_is_only_delayed_has_no_oldest_that_is_ready(self, store: Store, clock: FakeClock) -> None:
        (work,) = await take(store, clock, notification())
        await store.release([work], due_at=clock() + 10)
        assert (await store.queue_states())[Lane.SINGLE] == QueueState(delayed=1)

    async def test_notifications_that_ended_long_ago_are_dropped_and_no_others(
        self, store: Store, clock: FakeClock
    ) -> None:
        old = await take(store, clock, *(notification() for _ in range(1200)))
        failed = Failed(ordinal=1, outcome=OutcomeName.DROPPED, reason="x")
        await store.record(
            [PageResult(work=work, counts={Platform.FCM: {OutcomeName.DROPPED: 1}}, failures=[failed]) for work in old]
        )
        waiting = notification()
        await enqueue(store, clock, waiting)
        clock.advance(10)
        (young,) = await take(store, clock, notification())
        await store.record([went_well(young)])
        await store.housekeep(notifications_before=clock(), dead_letters_before=0, max_dead_letters=10**9)
        for work in (old[0], old[-1]):
            with pytest.raises(NotFoundError):
                await store.details(HUB, work.notification.id)
        assert (await store.details(HUB, young.notification.id)).state is State.COMPLETED
        assert len(await lease(store, clock)) == 1

    async def test_dead_letters_are_dropped_by_age_and_beyond_the_bound_oldest_first(
        self, store: Store, clock: FakeClock
    ) -> None:
        for number in range(10):
            letters = [dead_letter(f"e-{number}-{index}") for index in range(100)]
            await store.accept([Ingest(source="orders", event_id="", dead_letters=letters)], lease=0, until=0)
            clock.advance(1)
        await store.housekeep(notifications_before=0, dead_letters_before=clock() - 8, max_dead_letters=10**9)
        assert len(await store.dead_letters(limit=10**6)) == 800
        await store.housekeep(notifications_before=0, dead_letters_before=0, max_dead_letters=150)
        kept = [letter.event_id for _, _, letter in await store.dead_letters(limit=10**6)]
        assert len(kept) == 150
        assert kept[0] == "e-9-99"
        assert kept[-1] == "e-8-50"
