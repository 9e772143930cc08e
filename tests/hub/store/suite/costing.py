"""What a call costs: round trips whatever the batch, and only its own rows."""

from collections.abc import Awaitable, Callable

import pytest
from pyroaring import BitMap

from hub.acceptance import AuditEntry, Ingest
from hub.notification import Platform
from hub.outcome import OutcomeName
from hub.store.contracts.outbox import Audience, Failed, PageResult, RetryPage
from hub.store.store import SqlStore
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.store.suite.accepting import dead_letter
from tests.hub.store.suite.harness import Stores, Suite, begin, enqueue, everything, take_pages, went_well

MOST = 6
"""Round trips of a method, at most."""
MANY = 300


class Costing(Suite):
    @pytest.mark.slow
    async def test_no_method_makes_more_than_six_round_trips_whatever_its_batch(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        trips: dict[str, int] = {}

        async def counted(name: str, call: Callable[[], Awaitable[object]]) -> None:
            before = stores.trips
            await call()
            trips[name] = max(trips.get(name, 0), stores.trips - before)

        entry = AuditEntry(actor="ann", action="notification.send", target="x")
        batch = [
            Ingest(
                source="orders",
                event_id=f"e-{number}",
                notifications=[notification()],
                dead_letters=[dead_letter(body=b"%d" % number)],
                audit=entry,
            )
            for number in range(MANY)
        ]
        await counted("accept", lambda: store.accept(batch, start=0))
        await counted("take", lambda: store.take(Lane.SINGLE, everything()))
        work = await begin(store, *(notification() for _ in range(MANY)))
        pages = [(Platform.FCM, BitMap([number])) for number in range(MANY)]
        await counted("expand", lambda: store.expand(work[0], Audience(pages=pages)))
        await counted("postpone", lambda: store.postpone(work[1:50], delay=0, service=(HUB, Platform.APNS)))
        taken = await take_pages(store)
        await store.put_installations(HUB, [installation(f"phone {number}", "x") for number in range(MANY)])
        (audience,) = await store.audiences([notification()])
        ordinals = iter([target.ordinal for target in audience.targets])
        retry = RetryPage(platform=Platform.FCM, ordinals=BitMap([1]), delay=0, attempt=1)
        results = []
        for one, ordinal in zip((*work[50:], *taken), ordinals, strict=False):
            gone = Failed(ordinal=ordinal, outcome=OutcomeName.EXPIRED_CHANNEL, reason="x", gone=True)
            results.append(PageResult(work=one, counts={}, failures=[gone], retries=[retry]))
        await counted("record", lambda: store.record(results))
        await counted("record what is late", lambda: store.record(results))
        for one in await store.take(Lane.SINGLE, everything()):
            await store.record([went_well(one)])
        await counted("sum_up", store.sum_up)
        await counted("give_back", lambda: store.give_back(work))
        await counted("take_orphans", lambda: store.take_orphans([], MANY, waited=0))
        await counted("backlog", store.backlog)
        await counted("queue_states", store.queue_states)
        await counted("details", lambda: store.details(HUB, work[0].notification.id))
        await counted("notifications", lambda: store.notifications(hub=HUB, limit=10))
        await counted("notification", lambda: store.notification(work[0].notification.id))
        await counted("audit", lambda: store.audit(limit=10))
        clock.advance(10)
        await counted("clear_ended", lambda: store.clear_ended(kept=1))
        await counted("overwrite_cleared", store.overwrite_cleared)
        await counted("forget_ended", lambda: store.forget_ended(kept=1))
        assert {name: count for name, count in trips.items() if count > MOST} == {}
        assert (trips["accept"], trips["record"], trips["take"]) == (2, 6, 3)
        assert trips["give_back"] == trips["backlog"] == 0

    async def test_the_common_case_is_one_insert_and_one_update(self, stores: Stores, store: SqlStore) -> None:
        before = stores.trips
        batch = [arrival(notification()) for _ in range(MANY)]
        work = (await store.accept(batch, start=MANY)).work
        assert stores.trips - before == 2  # the fence with marks and ids, and all writes
        before = stores.trips
        await store.record([went_well(one) for one in work])
        assert stores.trips - before == 2  # the fence, and all writes

    async def test_what_waits_is_known_without_reading_it(self, stores: Stores, store: SqlStore) -> None:
        await enqueue(store, *(notification() for _ in range(MANY)))
        before = stores.trips
        assert await store.backlog() == {None: MANY}
        assert stores.trips == before
