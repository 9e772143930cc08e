"""Processes that share a database count the events of a flow key as one, however their transactions interleave."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from hub.acceptance import Ingest
from hub.store.contracts.outbox import Work
from hub.store.store import SqlStore
from tests.hub.store.postgres.fleet import Fleet, Process
from tests.hub.store.suite.flow_control import cancelling, in_turn, later, once, throttled, title_of
from tests.hub.store.suite.harness import WHOLE, take, went_well


async def accepted(stores: list[SqlStore], events: list[Ingest], seed: int) -> Counter[str]:
    """Have processes accept batches of random lengths at once; some come again, as after a lost answer."""
    chance = random.Random(seed)
    told = Counter[str]()

    async def intake(store: SqlStore, mine: list[Ingest]) -> None:
        while mine:
            count = chance.randint(1, 5)
            batch, mine = mine[:count], mine[count:]
            result = await store.accept(batch, start=WHOLE)
            told["sent"] += len(batch) - len(result.suppressed) - len(result.duplicates)
            told.update(each.cause.value for those in result.suppressed.values() for each in those)
            told["duplicate"] += len(result.duplicates)
            if chance.random() < 0.3:
                again = await store.accept(batch, start=WHOLE)
                assert len(again.duplicates) == len(batch)

    dealt = [events[number :: len(stores)] for number in range(len(stores))]
    await asyncio.gather(*(intake(store, mine) for store, mine in zip(stores, dealt, strict=True)))
    return told


@pytest.mark.parametrize("seed", range(5))
async def test_however_two_processes_interleave_a_key_fires_as_often_as_for_one(fleet: Fleet, seed: int) -> None:
    stores = [process.store for process in await fleet.two()]
    chance = random.Random(seed)
    keys = [chance.choice("abc") for _ in range(40)]
    told = await accepted(stores, [once(str(number), key) for number, key in enumerate(keys)], seed)
    assert (told["sent"], told["dedupe"]) == (len(set(keys)), len(keys) - len(set(keys)))
    events = [throttled(str(100 + number), key, most=3) for number, key in enumerate(keys)]
    told = await accepted(stores, events, seed)
    each = Counter(keys)
    assert told["sent"] == sum(min(3, count) for count in each.values())
    assert told["throttle"] == sum(max(0, count - 3) for count in each.values())
    digests = await due_digests(fleet)
    assert sorted(int(title.split()[0]) for title in digests) == sorted(
        count - 3 for count in each.values() if count > 3
    )


async def due_digests(fleet: Fleet) -> list[str]:
    """The texts of digests whose window has ended; each is one process's."""
    await fleet.pass_time(61)
    titles: list[str] = []
    for process in fleet.processes:
        await process.store.tick()
        titles += [title_of(piece.notification) for piece in await take(process.store)]
    return [title for title in titles if ":" in title]


async def test_one_process_withdraws_what_another_scheduled(fleet: Fleet) -> None:
    first, second = await fleet.two()
    await first.store.accept([later(first.clock, 600, "a")], start=WHOLE)
    result = await second.store.accept([cancelling("9", "a")], start=WHOLE)
    assert len(result.withdrawn[0]) == 1
    again = await first.store.accept([cancelling("10", "a")], start=WHOLE)
    assert not again.withdrawn


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_what_two_processes_accept_under_one_key_goes_out_one_by_one_in_the_order_of_its_acceptance(
    fleet: Fleet, seed: int
) -> None:
    """One of them stops for longer than its ownership with some in hand, which the other sends in its place."""
    processes = await fleet.two()
    chance = random.Random(seed)
    under_way: dict[str, list[tuple[Process, Work]]] = {key: [] for key in "abc"}
    sent: dict[str, list[int]] = {key: [] for key in "abc"}
    stopped: list[Process] = []

    def start(process: Process, work: Sequence[Work]) -> None:
        for piece in work:
            under_way[title_of(piece.notification)[0]].append((process, piece))

    async def turn() -> None:
        for process in processes:
            if process not in stopped:
                await process.store.tick()
                start(process, await take(process.store))
        for key, begun in under_way.items():
            assert len([piece for process, piece in begun if process not in stopped]) <= 1, "two of a key at once"
            for process, piece in [one for one in begun if one[0] not in stopped]:
                await process.store.record([went_well(piece)])
                begun.remove((process, piece))
                sent[key].append(int(title_of(piece.notification)[1:]))

    accepted = dict.fromkeys("abc", 0)
    for round_ in range(30):
        if round_ == 10:
            stopped.append(chance.choice(processes))
            await fleet.pass_time(10, without=stopped)
        process = chance.choice([one for one in processes if one not in stopped])
        key = chance.choice("abc")
        accepted[key] += 1
        result = await process.store.accept([in_turn(f"{key}{accepted[key]}", key)], start=WHOLE)
        start(process, result.work)
        if chance.random() < 0.4:
            await fleet.pass_time(2, without=stopped)
            await turn()
    for _ in range(30):
        if sum(map(len, sent.values())) == 30:
            break
        await fleet.pass_time(2, without=stopped)
        await turn()
    assert sent == {key: list(range(1, count + 1)) for key, count in accepted.items()}
