"""A failover: what a standby lacks is lost unless the standby is synchronous, and the store goes on with either."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import pytest

from hub.acceptance import Ingest
from hub.errors import StoreError
from hub.notification import Notification
from hub.store.contracts.outbox import Work
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from hub.work import Lane
from tests.brokers.postgres import PASSWORD, USER, NativePostgres, native, standby
from tests.brokers.relay import Relay
from tests.hub.examples import arrival, notification
from tests.hub.store.suite.harness import WHOLE, everything, ids, went_well

T = TypeVar("T")
STANDBY = "second"
FEW = 10
LATEST = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"


def events(notifications: Sequence[Notification]) -> list[Ingest]:
    """One for each, which comes again under the same id."""
    return [arrival(each, event_id=each.id) for each in notifications]


class Pair:
    """Two servers; the second follows the first through a relay. The store knows both, and takes the one that writes."""

    def __init__(self, first: NativePostgres, second: NativePostgres, relay: Relay) -> None:
        self.first, self.second, self._relay = first, second, relay
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = f"postgresql://{USER}:{PASSWORD}@{hosts}/postgres?target_session_attrs=read-write"
        self.store = PostgresStore(PostgresAddress(url=url))

    async def until_alike(self) -> None:
        async with asyncio.timeout(30):
            while await asyncio.to_thread(self.first.run, LATEST) != [(1,)]:
                await asyncio.sleep(0.05)

    def part(self) -> None:
        """The second gets nothing more."""
        self._relay.stall()

    async def fail_over(self) -> None:
        """The first is gone, and the second takes its place."""
        await asyncio.to_thread(self.first.kill)
        await self._relay.cut()
        await asyncio.to_thread(self.second.run, "SELECT pg_promote()")

    async def until_it_works(self, call: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await call()
                except StoreError:
                    await asyncio.sleep(0.05)

    async def accept(self, notifications: Sequence[Notification]) -> int:
        """How many of these were known."""
        return len((await self.until_it_works(lambda: self.store.accept(events(notifications), start=0))).duplicates)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with native(fsync=False) as first:
        async with Relay(first.port) as relay:
            following = standby(first, through=relay.port, name=STANDBY)
            second = await asyncio.to_thread(following.__enter__)
            try:
                pair = Pair(first, second, relay)
                await pair.store.open()
                yield pair
                await pair.store.close()
            finally:
                await asyncio.to_thread(following.__exit__, None, None, None)


async def until_taken(pair: Pair, count: int) -> Sequence[Work]:
    """What waits, once so much does; what an acceptance left behind is found by a look from the start."""
    found: dict[str, Work] = {}
    async with asyncio.timeout(60):
        while len(found) < count:
            await pair.until_it_works(pair.store.own)
            with suppress(StoreError):
                for work in await pair.store.take(Lane.SINGLE, everything()):
                    found[work.notification.id] = work
            await asyncio.sleep(0.1)
    return list(found.values())


async def test_a_failover_without_a_synchronous_standby_loses_what_was_acknowledged_last_and_no_more(
    pair: Pair,
) -> None:
    known = [notification() for _ in range(FEW)]
    begun = (await pair.store.accept(events(known), start=WHOLE)).work
    await pair.until_alike()
    pair.part()
    late = [notification() for _ in range(FEW)]
    assert await pair.accept(late) == 0
    recorded = begun[: FEW // 2]
    assert (await pair.store.record([went_well(work) for work in recorded])).late == 0
    await pair.fail_over()
    assert await pair.accept(known) == FEW, "what the standby has is there"
    assert await pair.accept(late) == 0, "what it lacks is lost, and is accepted when it is sent again"
    await pair.until_it_works(lambda: pair.store.record([went_well(work) for work in begun[FEW // 2 :]]))
    again = await until_taken(pair, FEW + len(recorded))
    assert sorted(ids(again)) == sorted([each.id for each in late] + ids(recorded)), "a lost record is pushed again"
    assert (await pair.store.record([went_well(work) for work in again])).late == 0
    states = pair.second.run("SELECT state, count(*) FROM notification GROUP BY state")
    assert states == [("Completed", 2 * FEW)]


async def test_a_failover_to_a_synchronous_standby_loses_nothing_that_was_acknowledged(pair: Pair) -> None:
    pair.first.run(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
    pair.first.run("SELECT pg_reload_conf()")
    known = [notification() for _ in range(FEW)]
    begun = (await pair.store.accept(events(known), start=WHOLE)).work
    assert (await pair.store.record([went_well(work) for work in begun])).late == 0
    pair.part()
    late = [notification() for _ in range(FEW)]
    accepting = asyncio.create_task(pair.store.accept(events(late), start=0))
    done, _ = await asyncio.wait([accepting], timeout=1.0)
    assert not done, "nothing is acknowledged that the standby does not have"
    await pair.fail_over()
    with pytest.raises(StoreError):
        await accepting
    assert await pair.accept(known) == FEW
    assert await pair.accept(late) == 0
    assert sorted(ids(await until_taken(pair, FEW))) == sorted(each.id for each in late), "none of the others is open"
