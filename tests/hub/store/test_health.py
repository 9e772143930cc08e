"""What a store that fails is told of, and when it counts as working again."""

import asyncio
from typing import Any, cast

import pytest

from hub.errors import StoreError
from hub.facts import StoreFailed, StoreRecovered
from hub.store.contracts.store import Store
from hub.store.health import StoreHealth


class Observed:
    def __init__(self) -> None:
        self.facts: list[type[Any]] = []

    def observe(self, fact: object) -> None:
        self.facts.append(type(fact))


class Taking:
    """A store whose takes are answered when the test says so."""

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[None]] = []

    async def take(self) -> None:
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]


async def test_a_call_that_began_before_the_failure_does_not_say_that_the_store_works_again() -> None:
    store, observer = Taking(), Observed()
    health = StoreHealth(cast(Store, store), observer=observer)
    taking = cast(Taking, health.store)
    early, failing = asyncio.create_task(taking.take()), asyncio.create_task(taking.take())
    await asyncio.sleep(0)
    store.answers[1].set_exception(StoreError("disk full"))
    with pytest.raises(StoreError):
        await failing
    store.answers[0].set_result(None)
    await early
    assert health.trouble is not None
    late = asyncio.create_task(taking.take())
    await asyncio.sleep(0)
    store.answers[2].set_result(None)
    await late
    assert health.trouble is None
    assert observer.facts == [StoreFailed, StoreRecovered]
