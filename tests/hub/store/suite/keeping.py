"""What stores keep of what is past, how much waits, and when they forget."""

import pytest
from pyroaring import BitMap

from hub.errors import NotFoundError
from hub.notification import EVERYONE, NativeContent, Platform
from hub.outcome import OutcomeName, State
from hub.store.connection import Statement
from hub.store.contracts.outbox import Audience, Failed, PageResult, QueueState, RetryPage
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, take, take_pages, went_well

LEFT = Statement(
    "test.left",
    "SELECT (SELECT count(*) FROM notification), (SELECT count(*) FROM page), (SELECT count(*) FROM failure)",
)
APNS, FCM = (HUB, Platform.APNS), (HUB, Platform.FCM)


class Keeping(Suite):
    async def test_details_say_what_was_sent_to_whom(self, store: SqlStore) -> None:
        template = notification("a && !b", platforms=frozenset([Platform.APNS, Platform.WNS]))
        native = notification(EVERYONE, content=NativeContent(platform=Platform.FCM, payload="{ü}".encode()))
        await enqueue(store, template, native)
        details = await store.details(HUB, template.id)
        assert (details.state, details.tags, details.body) == (State.ENQUEUED, "a && !b", '{"title":"hello"}')
        assert details.platforms == (Platform.APNS, Platform.WNS)
        assert (details.started_at, details.ended_at, details.counts) == (None, None, {})
        details = await store.details(HUB, native.id)
        assert (details.tags, details.body, details.platforms) == ("", "{ü}", (Platform.FCM,))

    async def test_details_of_what_is_taken_say_so(self, store: SqlStore) -> None:
        await enqueue(store, notification())
        (work,) = await take(store)
        assert (await store.details(HUB, work.notification.id)).state is State.PROCESSING

    async def test_details_of_an_unknown_notification_or_hub_are_not_found(self, store: SqlStore) -> None:
        known = notification()
        await enqueue(store, known)
        for hub, notification_id in ((HUB, "0" * 32), ("other", known.id)):
            with pytest.raises(NotFoundError):
                await store.details(hub, notification_id)

    async def test_an_empty_store_has_nothing_waiting(self, store: SqlStore) -> None:
        assert await store.backlog() == {}
        assert await store.queue_states() == {lane: QueueState() for lane in Lane}

    async def test_queues_are_counted_by_lane_ready_in_hand_and_delayed(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        start = clock()
        retried, expanded, _in_hand = await begin(store, *(notification() for _ in range(3)))
        retries = [RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), delay=wait, attempt=1) for wait in (5, 50)]
        await store.record([PageResult(work=retried, counts={}, retries=retries)])
        await store.expand(expanded, Audience(pages=[(Platform.FCM, BitMap([number])) for number in range(3)]))
        (page,) = await take_pages(store, Platform.FCM, limit=1)
        clock.advance(8)
        await enqueue(store, notification())
        clock.advance(2)
        assert await store.queue_states() == {
            Lane.SINGLE: QueueState(ready=2, in_hand=1, delayed=1, oldest_ready=start + 5),
            Lane.BROADCAST: QueueState(ready=2, in_hand=1, delayed=0, oldest_ready=start),
        }
        assert await store.backlog() == {None: 2, FCM: 5}
        await store.record([went_well(page)])
        assert await store.backlog() == {None: 2, FCM: 4}

    async def test_what_is_only_delayed_has_no_oldest_that_is_ready(self, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        await store.postpone([work], delay=10)
        assert (await store.queue_states())[Lane.SINGLE] == QueueState(delayed=1)

    async def test_the_backlog_of_each_service_is_known_after_a_restart(self, stores: Stores, store: SqlStore) -> None:
        deferred = await begin(store, *(notification() for _ in range(3)))
        await store.postpone(deferred, delay=60, service=APNS)
        await begin(store, notification())
        assert await store.backlog() == {None: 1, APNS: 3}
        await stores.crash()
        assert await (await stores.open()).backlog() == {None: 1, APNS: 3}

    async def test_notifications_that_ended_long_ago_are_forgotten_and_no_others(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        old = await begin(store, *(notification() for _ in range(1200)))
        failed = Failed(ordinal=1, outcome=OutcomeName.DROPPED, reason="x")
        await store.record(
            [PageResult(work=work, counts={Platform.FCM: {OutcomeName.DROPPED: 1}}, failures=[failed]) for work in old]
        )
        waiting = notification()
        await enqueue(store, waiting)
        clock.advance(10)
        (young,) = await begin(store, notification())
        await store.record([went_well(young)])
        slices = 1
        while await store.forget_ended(kept=5):
            slices += 1
        assert slices >= 3
        for work in (old[0], old[-1]):
            with pytest.raises(NotFoundError):
                await store.details(HUB, work.notification.id)
        assert (await store.details(HUB, young.notification.id)).state is State.COMPLETED
        assert await stores.read(LEFT) == [(2, 0, 0)]
        assert len(await take(store)) == 1

    @pytest.mark.slow
    async def test_a_broadcast_with_many_failures_is_forgotten_in_slices(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        (work,) = await begin(store, notification())
        await store.expand(work, Audience(pages=[(Platform.FCM, BitMap([number])) for number in range(1500)]))
        pages = await take_pages(store)
        await store.record([PageResult(work=page, counts={}) for page in pages[1:]])
        failures = [Failed(ordinal=number, outcome=OutcomeName.DROPPED, reason="x") for number in range(12_000)]
        await store.record([PageResult(work=pages[0], counts={}, failures=failures)])
        await store.sum_up()
        clock.advance(10)
        assert await store.forget_ended(kept=5)
        assert await stores.read(LEFT) == [(1, 500, 2000)]
        assert not await store.forget_ended(kept=5)
        assert await stores.read(LEFT) == [(0, 0, 0)]
