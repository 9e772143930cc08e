"""The store on SQLite keeps the contract of all stores."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hub.store.clock import StoreClock
from hub.store.connection import Connection, Row, Statement
from hub.store.contracts.outbox import Failed
from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.database import SqliteDatabase
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.store.suite.behaviour import StoreBehaviour
from tests.hub.store.suite.harness import Stores

T = TypeVar("T")


class SqliteStores:
    """Stores on one file. Two handles share a database object: a second one on the file is refused by its lock."""

    def __init__(self, path: Path) -> None:
        self.clock = HostClock()
        self.marked_dead: list[int] = []
        self.due = 0
        self._database = CountingDatabase(path)
        self._opened: list[SqlStore] = []

    @property
    def trips(self) -> int:
        return self._database.trips

    async def open(self, *, window: SeenWindow = SeenWindow()) -> SqlStore:
        store = SqlStore(
            self._database,
            mark_dead=self._mark_dead,
            window=window,
            clock=StoreClock(wall=self.clock, monotonic=self.clock.monotonic),
            monotonic=self.clock.monotonic,
        )
        self.due = await store.open()
        self._opened.append(store)
        return store

    async def take_over(self) -> SqlStore:
        return await self.open()

    async def crash(self) -> None:
        await self._database.close()
        self._opened.clear()

    async def read(self, statement: Statement, **values: Any) -> list[Row]:
        return await self._database.read(lambda connection: connection.read(statement, **values))

    async def close(self) -> None:
        if self._opened:
            await self._opened[-1].close()
        await self._database.close()

    def _mark_dead(self, connection: Connection, gone: Sequence[tuple[str, Failed]], now: float) -> int:
        self.marked_dead += [failed.ordinal for _, failed in gone]
        return len(gone)


class CountingDatabase:
    """A database that counts the round trips of the jobs; a second `open` joins the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: SqliteDatabase | None = None
        self.trips = 0

    @property
    def _database(self) -> SqliteDatabase:
        assert self._opened is not None
        return self._opened

    async def open(self) -> None:
        if self._opened is None:
            self._opened = SqliteDatabase(self._path, allow_memory=True)
            await self._opened.open()

    async def close(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()

    async def probe(self) -> None:
        await self._database.probe()

    async def write(self, job: Callable[[Connection], T], /, *, then: Callable[[], None] | None = None) -> T:
        return await self._database.write(lambda connection: job(_Counting(self, connection)), then=then)

    async def read(self, job: Callable[[Connection], T], /) -> T:
        return await self._database.read(lambda connection: job(_Counting(self, connection)))


class _Counting:
    """A connection that counts."""

    def __init__(self, database: CountingDatabase, connection: Connection) -> None:
        self._count_of = database
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        def counted(*args: Any, **values: Any) -> Any:
            if name != "read_by_keys" or args[1]:
                self._count_of.trips += 1
            return method(*args, **values)

        return counted


class TestSqliteStore(StoreBehaviour):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[Stores]:
        stores = SqliteStores(tmp_path / "hub.db")
        yield stores
        await stores.close()
