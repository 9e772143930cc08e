"""Connections to the database cut in any phase: what is tried again is there once, and what was confirmed is not lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from hub.errors import StoreError
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.work import Lane
from tests.brokers.postgres import Postgres
from tests.brokers.relay import Relay
from tests.hub.examples import arrival, notification
from tests.hub.store.suite.harness import everything, went_well

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
