"""How stores keep silences: hold or drop what they cover, and let go what an ended one held."""

from datetime import timedelta

import pytest

from hub.acceptance import Ingest
from hub.errors import NotFoundError
from hub.outcome import State
from hub.silence import LONGEST, NewSilence, SilenceAction, SilenceUse
from hub.store.rows import moment
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.harness import WHOLE, Stores, Suite, begin, enqueue, ids, take, went_well
from tests.hub.store.suite.sinks import Told, bodies


def silence(
    id: str,
    action: SilenceAction = SilenceAction.HOLD,
    *,
    rule: str = "",
    source: str = "",
    hub: str = "",
    **more: float,
) -> NewSilence:
    """One of an hour, by ann."""
    seconds = more.pop("seconds", 3600.0)
    return NewSilence(
        id=id, action=action, seconds=seconds, reason="a trial", actor="ann", rule=rule, source=source, hub=hub
    )


class Silencing(Suite):
    async def test_what_is_accepted_while_a_silence_holds_waits_for_its_end(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.add_silence(silence("s1", rule="news"))
        held, other = notification(rule="news"), notification(rule="other")
        result = await store.accept(
            [Ingest(source="s", event_id=one.rule, notifications=[one]) for one in (held, other)], start=WHOLE
        )
        assert ids(result.work) == [other.id]
        assert [(one.id, by.id) for one, by in result.silenced] == [(held.id, "s1")]
        assert (await store.details(HUB, held.id)).state is State.HELD
        assert not await take(store)
        assert (await store.silence_usage())["s1"].held == 1
        assert await store.release_silenced() == 0
        clock.advance(3601)
        assert await store.release_silenced() == 1
        assert await store.release_silenced() == 0
        (work,) = await take(store)
        await store.record([went_well(work)])
        assert (work.notification.id, (await store.details(HUB, held.id)).state) == (held.id, State.COMPLETED)
        assert (await store.notification(held.id)).silence == "s1"

    async def test_a_removed_silence_lets_go_what_it_holds_and_is_audited(self, store: SqlStore) -> None:
        await store.add_silence(silence("s1", hub=HUB))
        await enqueue(store, notification())
        removed = await store.remove_silence("s1", actor="bob")
        assert (removed.removed_by, await store.release_silenced(), len(await take(store))) == ("bob", 1, 1)
        with pytest.raises(NotFoundError):
            await store.remove_silence("s1", actor="bob")
        audit = [
            (each.entry.action, each.entry.actor, each.entry.target) for each in (await store.audit(limit=9)).items
        ]
        assert audit == [("silence.remove", "bob", "s1"), ("silence.add", "ann", "s1")]

    async def test_what_a_silence_drops_ends_as_cancelled_and_is_told_of_and_never_comes_again(
        self, store: SqlStore
    ) -> None:
        store.report_to(told := Told("crm"))
        await store.add_silence(silence("s1", SilenceAction.DROP, rule="r"))
        event = Ingest(source="s", event_id="1", notifications=[notification(rule="r")])
        first = await store.accept([event], start=WHOLE)
        assert (first.work, len(first.silenced), await take(store)) == ([], 1, [])
        assert (await store.silence_usage())["s1"] == SilenceUse(dropped=1)
        assert (await store.end_held()).ended == {(HUB, State.CANCELLED): 1}
        assert (await bodies(store), told.ended[0].actor) == (["r Cancelled"], "silence s1")
        await store.remove_silence("s1", actor="ann")
        again = await store.accept([event], start=WHOLE)
        assert (again.duplicates, again.work, await store.release_silenced()) == (frozenset([0]), [], 0)
        assert (await store.silence_usage())["s1"] == SilenceUse(dropped=1)

    async def test_all_selectors_of_a_silence_have_to_fit(self, store: SqlStore) -> None:
        await store.add_silence(silence("s1", rule="r", source="s", hub=HUB))
        meant = notification(rule="r", source="s")
        others = [notification(rule="r", source="t"), notification(rule="q", source="s")]
        assert ids(await begin(store, meant, *others)) == ids_of(others)

    async def test_what_waits_already_is_held_when_its_turn_comes_unless_it_has_begun(self, store: SqlStore) -> None:
        await enqueue(store, notification(rule="a"), notification(rule="b"))
        await store.add_silence(silence("s1", rule="a"))
        work = await take(store)
        silenced = await store.silence(work)
        assert [(one.rule, by.id) for one, by in silenced] == [("a", "s1")]
        left = [piece for piece in work if piece.notification.rule == "b"]
        await store.record([went_well(piece) for piece in left])
        assert not await take(store)
        await store.remove_silence("s1", actor="ann")
        assert not await store.silence(left), "no silence is in force any more"
        await store.release_silenced()
        assert [piece.notification.rule for piece in await take(store)] == ["a"]

    async def test_a_scheduled_notification_is_held_when_its_time_comes_and_dropped_at_once(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        soon = moment(clock() + 60)
        await store.add_silence(silence("s1", rule="held"))
        await store.add_silence(silence("s2", SilenceAction.DROP, rule="dropped"))
        await enqueue(
            store, notification(rule="held", schedule_at=soon), notification(rule="dropped", schedule_at=soon)
        )
        assert (await store.end_held()).ended == {(HUB, State.CANCELLED): 1}
        clock.advance(61)
        work = await take(store)
        assert [by.id for _, by in await store.silence(work)] == ["s1"]

    async def test_what_expires_while_it_is_held_ends_as_expired(self, store: SqlStore, clock: HostClock) -> None:
        await store.add_silence(silence("s1", hub=HUB))
        await enqueue(store, notification(rule="a", expires_at=moment(clock() + 60)), notification(rule="b"))
        clock.advance(61)
        assert (await store.end_held()).ended == {(HUB, State.ABANDONED): 1}
        assert (await store.silence_usage())["s1"].held == 1

    async def test_silences_and_what_they_hold_outlive_a_crash(self, stores: Stores, store: SqlStore) -> None:
        await store.add_silence(silence("s1", hub=HUB))
        await store.add_silence(silence("s2", SilenceAction.DROP, rule="d"))
        await enqueue(store, notification(rule="a"), notification(rule="d"))
        await stores.crash()
        store = await stores.open()
        assert [one.id for one in store.silences_in_force] == ["s1", "s2"], "they are known before anything is accepted"
        assert (await take(store), (await store.silence_usage())["s1"].held) == ([], 1)
        assert (await store.end_held()).ended == {(HUB, State.CANCELLED): 1}
        await store.remove_silence("s1", actor="ann")
        await stores.crash()
        store = await stores.open()
        assert (await store.release_silenced(), [one.notification.rule for one in await take(store)]) == (1, ["a"])

    async def test_a_clock_that_is_set_neither_ends_nor_prolongs_a_silence(
        self, store: SqlStore, clock: HostClock
    ) -> None:
        await store.add_silence(silence("s1", hub=HUB, seconds=600.0))
        for step in (7200.0, -14400.0):
            clock.set_by(step)
            await store.tick()
            (known,) = store.known_silences
            assert store.silences_in_force, f"after a step of {step:g} s"
            assert known.until - clock() == pytest.approx(600.0, abs=2.0)
        clock.advance(601)
        assert not store.silences_in_force

    async def test_what_one_silence_lets_go_another_one_holds(self, store: SqlStore) -> None:
        await store.add_silence(silence("s1", rule="r"))
        await enqueue(store, notification(rule="r"))
        await store.add_silence(silence("s2", hub=HUB))
        await store.remove_silence("s1", actor="ann")
        await store.release_silenced()
        assert [by.id for _, by in await store.silence(await take(store))] == ["s2"]

    async def test_what_is_held_may_be_cancelled_and_is_not_to_be_approved(self, store: SqlStore) -> None:
        await store.add_silence(silence("s1", hub=HUB))
        one = notification()
        await enqueue(store, one)
        assert await store.approve(one.id, actor="ann") is None
        assert await store.held() == {}, "it waits for no approval"
        assert await store.stop(one.id, actor="ann") == HUB
        await store.remove_silence("s1", actor="ann")
        assert (await store.release_silenced(), await take(store)) == (0, [])

    async def test_an_ended_silence_is_forgotten_when_it_holds_nothing(self, store: SqlStore, clock: HostClock) -> None:
        await store.add_silence(silence("s1", hub=HUB))
        await enqueue(store, notification())
        clock.advance(LONGEST + timedelta(days=1).total_seconds() + 3600)
        await store.forget_silences()
        assert [one.id for one in store.known_silences] == ["s1"]
        await store.release_silenced()
        await store.forget_silences()
        assert not store.known_silences


def ids_of(notifications: list) -> list[str]:  # type: ignore[type-arg]
    return [one.id for one in notifications]
