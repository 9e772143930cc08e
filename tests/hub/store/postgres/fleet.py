"""Processes that share a database: each has its own session, clock and memory, as on hosts of their own."""

from collections.abc import Collection, Sequence

from hub.store.clock import StoreClock
from hub.store.contracts.outbox import Service
from hub.store.outbox.ownership import Sharing
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock

QUEUES = 64


class Process:
    """One of the fleet; its clock moves when it is told to, and it renews when it is told to."""

    def __init__(self, address: PostgresAddress) -> None:
        self.clock = HostClock()
        self.services: Collection[Service] = ()
        self.hubs: Collection[str] = ()
        self.database = PostgresDatabase(address)
        self.store = SqlStore(
            self.database,
            clock=StoreClock(wall=self.clock, monotonic=self.clock.monotonic),
            monotonic=self.clock.monotonic,
            owner=address.name,
            sharing=Sharing(session=self.database.ownership, version="1"),
        )
        self.store.serve(lambda: self.services, lambda: self.hubs)

    @property
    def owned(self) -> int:
        return self.store.ownership().owned


class Fleet:
    """Processes on one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.processes: list[Process] = []

    async def start(self, *services: Service, hubs: Collection[str] = (), idle_in_transaction: float = 2.0) -> Process:
        """One more; it has senders for these, and knows their hubs and others."""
        name = f"p{len(self.processes)}"
        process = Process(PostgresAddress(url=self.url, name=name, idle_in_transaction=idle_in_transaction))
        if self.processes:
            process.clock.advance(self.processes[0].clock.elapsed - process.clock.elapsed)
        process.services, process.hubs = services, {hub for hub, _ in services} | set(hubs)
        self.processes.append(process)
        await process.store.open()
        return process

    async def pass_time(self, seconds: int, *, without: Sequence[Process] = ()) -> None:
        """Each second all renew, but for those that stand still."""
        for _ in range(seconds):
            for process in self.processes:
                process.clock.advance(1)
                if process not in without:
                    await process.store.own()

    async def settle(self) -> None:
        await self.pass_time(12)

    async def two(self) -> tuple[Process, Process]:
        """Each with half of the queues."""
        first, second = await self.start(), await self.start()
        await self.settle()
        assert (first.owned, second.owned) == (QUEUES // 2, QUEUES // 2)
        return first, second
