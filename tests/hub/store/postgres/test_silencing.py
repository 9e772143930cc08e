"""Silences of a fleet: exact at acceptance, whichever process took the silence; each owner releases its own."""

from hub.outcome import State
from tests.hub.examples import HUB, notification
from tests.hub.store.postgres.fleet import Fleet
from tests.hub.store.suite.harness import begin, enqueue, ids, take, went_well
from tests.hub.store.suite.silencing import silence


async def test_a_silence_of_one_process_holds_at_once_what_the_other_accepts_and_both_release_their_own(
    fleet: Fleet,
) -> None:
    first, second = await fleet.two()
    await first.store.add_silence(silence("s1", rule="r"))
    mine, other = [notification(rule="r") for _ in range(3)], [notification(rule="r") for _ in range(5)]
    assert not second.store.silences_in_force, "the other process has not looked yet, and acceptance needs no look"
    await enqueue(first.store, *mine)
    assert not await begin(second.store, *other)
    assert (await second.store.details(HUB, other[0].id)).state is State.HELD
    await second.store.tick()
    await second.store.remove_silence("s1", actor="bob")
    await first.store.tick()
    released = await first.store.release_silenced(), await second.store.release_silenced()
    assert released == (3, 5)
    taken = [*await take(first.store), *await take(second.store)]
    assert sorted(ids(taken)) == sorted(one.id for one in (*mine, *other))


async def test_what_a_dead_process_held_is_released_by_the_one_that_takes_its_queues_over(fleet: Fleet) -> None:
    first, second = await fleet.two()
    await first.store.add_silence(silence("s1", hub=HUB))
    held = notification()
    await enqueue(first.store, held)
    await fleet.pass_time(30, without=[first])
    await second.store.tick()
    await second.store.remove_silence("s1", actor="bob")
    assert await second.store.release_silenced() == 1
    (work,) = await take(second.store)
    await second.store.record([went_well(work)])
    assert not await take(second.store)
