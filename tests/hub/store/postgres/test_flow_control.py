"""Processes that share a database count the events of a flow key as one, however their transactions interleave."""

import asyncio
import random
from collections import Counter

import pytest

from hub.acceptance import Ingest
from hub.store.store import SqlStore
from tests.hub.store.postgres.fleet import Fleet
from tests.hub.store.suite.flow_control import cancelling, later, once, throttled, title_of
from tests.hub.store.suite.harness import WHOLE, take


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
