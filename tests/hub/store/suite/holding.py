"""How stores hold what waits for an approval, let it go, and end it where nobody approved in time."""

from datetime import timedelta

from hub.acceptance import Approval, Ingest
from hub.outcome import State, Unreached
from hub.store.outbox.holding import HELD_FOR
from hub.store.rows import moment
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.harness import WHOLE, Stores, Suite, begin, ids, take, went_well
from tests.hub.store.suite.sinks import Told, bodies


class Holding(Suite):
    async def test_what_is_held_is_not_taken_until_it_is_approved_once(self, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        id_ = work.notification.id
        assert ids(await store.hold([(work, 500)])) == [id_]
        assert not await take(store)
        assert (await store.held(), (await store.details(HUB, id_)).state) == ({HUB: 1}, State.HELD)
        assert await store.approve(id_, actor="ann") == HUB
        assert await store.approve(id_, actor="bob") is None
        (again,) = await take(store)
        assert not await store.hold([(again, 10**6)]), "it may go to whatever its audience is by now"
        await store.record([went_well(again)])
        assert ((await store.details(HUB, id_)).state, await store.held()) == (State.COMPLETED, {})
        assert [(each.entry.actor, each.entry.target) for each in (await store.audit(limit=9)).items] == [("ann", id_)]

    async def test_a_confirmation_of_the_sender_is_for_so_many_and_no_more(self, store: SqlStore) -> None:
        sent = Ingest(
            source="", event_id="", notifications=[notification()], approval=Approval(most=100, actor="sender")
        )
        (work,) = (await store.accept([sent], start=WHOLE)).work
        assert not await store.hold([(work, 100)])
        assert await store.hold([(work, 101)])

    async def test_what_nobody_approves_ends_at_its_expiry_or_after_a_week_and_is_told_of(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        store.report_to(told := Told("crm"))
        soon, late = await begin(
            store,
            notification(rule="soon", expires_at=moment(clock()) + timedelta(hours=1)),
            notification(rule="late"),
        )
        await store.hold([(soon, 7), (late, 8)])
        assert not (await store.end_held()).ended
        clock.advance(3600)
        ended = await store.end_held()
        assert ended.ended == {(HUB, State.ABANDONED): 1}
        assert [(one.id, why, count) for one, why, count in ended.unreached] == [
            (soon.notification.id, Unreached.EXPIRED, 7)
        ]
        clock.advance(HELD_FOR)
        assert (await store.end_held()).ended == {(HUB, State.ABANDONED): 1}
        assert not (await store.end_held()).ended
        assert await bodies(store) == ["soon Abandoned", "late Abandoned"]
        assert {each.why for each in told.ended} == {Unreached.EXPIRED}
        assert await store.approve(soon.notification.id, actor="ann") is None

    async def test_what_is_held_outlives_a_crash_and_may_be_cancelled(self, stores: Stores, store: SqlStore) -> None:
        (work,) = await begin(store, notification())
        await store.hold([(work, 7)])
        await stores.crash()
        store = await stores.open()
        assert (await store.held(), await take(store)) == ({HUB: 1}, [])
        assert await store.stop(work.notification.id, actor="ann") == HUB
        assert (await store.held(), (await store.details(HUB, work.notification.id)).state) == ({}, State.CANCELLED)
