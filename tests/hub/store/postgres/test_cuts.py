"""Connections to the database cut in any phase: what is tried again is there once, and what was confirmed is not lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest

from hub.errors import StoreError
from hub.outcome import State
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.work import Lane
from tests.brokers.postgres import Postgres
from tests.brokers.postgres_relay import READS, Phase, PostgresRelay
from tests.brokers.relay import Relay
from tests.hub.examples import HUB, arrival, notification
from tests.hub.store.suite.harness import begin, everything, ids, went_well

T = TypeVar("T")
EVENTS = 25
LONGEST = 0.006
"""Seconds from the begin of a call until its connections are cut, at most: some calls are over by then."""


async def test_cuts_while_events_are_accepted_and_recorded_lose_and_repeat_nothing(
    postgres: Postgres, database: str
) -> None:
    rng = random.Random(7)
    failed = completed = 0
    async with Relay(postgres.port) as relay:

        async def cut(after: float) -> None:
            await asyncio.sleep(after)
            await relay.cut()

        async def do(call: Callable[[], Awaitable[T]]) -> T:
            """Until it works; its first try is cut."""
            nonlocal failed
            cutting = asyncio.create_task(cut(rng.uniform(0.0, LONGEST)))
            while True:
                try:
                    answer = await call()
                    await cutting
                    return answer
                except StoreError:
                    failed += 1
                    await cutting

        url = postgres.url(database).replace(f":{postgres.port}/", f":{relay.port}/")
        store = PostgresStore(PostgresAddress(url=url))
        await store.open()
        tending = asyncio.create_task(store.tend())
        for number in range(EVENTS):
            batch = [arrival(notification(), event_id=f"e{number}")]
            await do(partial(store.accept, batch, start=0))
            for work in await do(partial(store.take, Lane.SINGLE, everything())):
                await do(partial(store.record, [went_well(work)]))
                completed += 1
        async with asyncio.timeout(60):
            while (
                completed < EVENTS
            ):  # what was accepted by a call that failed is found by the next look from the start
                for work in await store.take(Lane.SINGLE, everything()):
                    await store.record([went_well(work)])
                    completed += 1
                await asyncio.sleep(0.1)
        tending.cancel()
        await store.close()
    found = postgres.run("SELECT state, count(*) FROM notification GROUP BY state", database=database)
    assert found == [("Completed", EVENTS)]
    assert failed > EVENTS / 10


# Each phase by its name

UNHARMED = {Phase.BEFORE_BEGIN, Phase.IDLE}
"""Cuts that no caller of a write hears of: nothing was under way, and the next transaction begins on a new connection."""


@pytest.fixture
async def relay(postgres: Postgres) -> AsyncIterator[PostgresRelay]:
    async with PostgresRelay(postgres.port) as relay:
        yield relay


@pytest.fixture
async def store(relay: PostgresRelay, postgres: Postgres, database: str) -> AsyncIterator[PostgresStore]:
    """Its connections go through the relay."""
    url = postgres.url(database).replace(f":{postgres.port}/", f":{relay.port}/")
    store = PostgresStore(PostgresAddress(url=f"{url}?sslmode=disable&gssencmode=disable"))
    await store.open()
    yield store
    await store.close()


async def through_a_cut(call: Callable[[], Awaitable[T]], relay: PostgresRelay, *, fails: bool) -> T:
    """The answer of a call that is cut, or, where it fails for that, of the same call once more."""
    if fails:
        with pytest.raises(StoreError, match=r"the connection to the database was lost"):
            await call()
    answer = await call()
    async with asyncio.timeout(60):
        await relay.until_cut()
    return answer


@pytest.mark.parametrize("phase", Phase)
async def test_an_acceptance_cut_in_any_phase_is_there_once_when_it_is_tried_again(
    store: PostgresStore, relay: PostgresRelay, phase: Phase
) -> None:
    given = notification()
    relay.arm(phase)
    call = partial(store.accept, [arrival(given, event_id="e1")], start=0)
    accepted = await through_a_cut(call, relay, fails=phase not in UNHARMED)
    assert len(accepted.duplicates) == (phase is Phase.AFTER_COMMIT), "what was committed is there, and no more"
    assert len((await call()).duplicates) == 1
    async with asyncio.timeout(60):
        while not (found := await store.take(Lane.SINGLE, everything())):
            await asyncio.sleep(0.1)
    assert ids(found) == [given.id]


@pytest.mark.parametrize("phase", Phase)
async def test_a_record_cut_in_any_phase_counts_once(store: PostgresStore, relay: PostgresRelay, phase: Phase) -> None:
    (work,) = await begin(store, notification())
    relay.arm(phase)
    recorded = await through_a_cut(partial(store.record, [went_well(work)]), relay, fails=phase not in UNHARMED)
    if phase is Phase.AFTER_COMMIT:
        assert recorded.late == 1, "the first try has counted"
    else:
        assert recorded.ended == {(HUB, State.COMPLETED): 1}
    details = await store.details(HUB, work.notification.id)
    assert (details.state, sum(count for each in details.counts.values() for count in each.values())) == (
        State.COMPLETED,
        1,
    )


@pytest.mark.parametrize("phase", Phase)
async def test_a_read_cut_in_any_phase_is_done_again_unseen(
    store: PostgresStore, relay: PostgresRelay, phase: Phase
) -> None:
    given = notification()
    await store.accept([arrival(given)], start=0)
    relay.arm(phase, begin=READS)
    found = await through_a_cut(partial(store.details, HUB, given.id), relay, fails=False)
    assert found.state is State.ENQUEUED
    assert (await store.details(HUB, given.id)).state is State.ENQUEUED


@pytest.mark.parametrize("phase", Phase)
async def test_a_renewal_cut_in_any_phase_costs_that_renewal_and_no_queue(
    store: PostgresStore, relay: PostgresRelay, phase: Phase
) -> None:
    await store.own()
    owned = store.ownership().owned
    relay.arm(phase)
    await through_a_cut(store.own, relay, fails=phase is not Phase.IDLE)
    await through_a_cut(store.own, relay, fails=phase is Phase.IDLE)
    counts = store.ownership()
    assert (counts.owned, counts.lost, counts.renewals_failed) == (owned, 0, 1)
    assert store.may_start()
    assert len(await begin(store, notification())) == 1
