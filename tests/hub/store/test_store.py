"""The store on SQLite keeps the contract of all stores."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from hub.notification import Platform
from hub.store.clock import StoreClock
from hub.store.connection import Connection, Row, Statement
from hub.store.outbox import taking
from hub.store.outbox.in_hand import InHand, Place
from hub.store.outbox.remembering import SeenWindow
from hub.store.rows import SINGLE, service_key
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.database import SqliteDatabase
from hub.store.store import SqlStore, StoreDatabase
from hub.store.telemetry.listing import SCANNED
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, notification
from tests.hub.store.suite.behaviour import StoreBehaviour
from tests.hub.store.suite.harness import Stores, begin

T = TypeVar("T")


class DatabaseStores:
    """Stores on one database, which `make` opens. Two handles share it: a second one on it is refused by its lock."""

    def __init__(self, make: Callable[[], StoreDatabase]) -> None:
        self.clock = HostClock()
        self.due = 0
        self._database = CountingDatabase(make)
        self._opened: list[SqlStore] = []

    @property
    def trips(self) -> int:
        return self._database.trips

    async def open(self, *, window: SeenWindow = SeenWindow(), scanned: int = SCANNED) -> SqlStore:
        store = SqlStore(
            self._database,
            window=window,
            clock=StoreClock(wall=self.clock, monotonic=self.clock.monotonic),
            monotonic=self.clock.monotonic,
            scanned=scanned,
        )
        self.due = await store.open()
        self._opened.append(store)
        return store

    async def take_over(self, *, window: SeenWindow = SeenWindow()) -> SqlStore:
        return await self.open(window=window)

    async def crash(self) -> None:
        await self._database.close()
        self._opened.clear()

    async def read(self, statement: Statement, **values: Any) -> list[Row]:
        return await self._database.read(lambda connection: connection.read(statement, **values))

    async def close(self) -> None:
        if self._opened:
            await self._opened[-1].close()
        await self._database.close()


class SqliteStores(DatabaseStores):
    """Stores on one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: SqliteDatabase(path, allow_ephemeral=True))


class CountingDatabase:
    """A database that counts the round trips of the jobs; a second `open` joins the first."""

    def __init__(self, make: Callable[[], StoreDatabase]) -> None:
        self._make = make
        self._opened: StoreDatabase | None = None
        self.erasures = make().erasures
        self.trips = 0

    @property
    def _database(self) -> StoreDatabase:
        assert self._opened is not None
        return self._opened

    async def open(self) -> None:
        if self._opened is None:
            self._opened = self._make()
            await self._opened.open()

    async def close(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()

    async def probe(self) -> None:
        await self._database.probe()

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        return await self._database.overwrite_deleted(seconds=seconds)

    async def go_on_overwriting(self) -> bool:
        return await self._database.go_on_overwriting()

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        return await self._database.write(
            lambda connection: job(_Counting(self, connection)), then=then, flow=flow, rows=rows
        )

    async def read(self, job: Callable[[Connection], T], /) -> T:
        return await self._database.read(lambda connection: job(_Counting(self, connection)))

    async def look(self, job: Callable[[Connection], T], /) -> T:
        return await self._database.look(lambda connection: job(_Counting(self, connection)))


class _Counting:
    """A connection that counts."""

    def __init__(self, database: CountingDatabase, connection: Connection) -> None:
        self._count_of = database
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        def counted(*args: Any, **values: Any) -> Any:
            if name == "read_all_by_keys":
                self._count_of.trips += any(keys for _, keys in args[0])
            elif name not in ("read_by_keys", "read_many") or args[1]:
                self._count_of.trips += 1
            return method(*args, **values)

        return counted


class TestSqliteStore(StoreBehaviour):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[Stores]:
        stores = SqliteStores(tmp_path / "hub.db")
        yield stores
        await stores.close()


def steps_of_a_take(path: Path, clock: HostClock) -> int:
    """Steps of SQLite's machine that taking 10 notifications for FCM costs."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return False

    key = service_key((HUB, Platform.FCM))
    look = InHand().look([Place(0, SINGLE, key)], {key: 10})
    connection.set_progress_handler(step, 1)
    _, work = taking.take(SqliteConnection(connection), look, now=clock())
    connection.set_progress_handler(None)
    connection.close()
    assert len(work) == 10
    return steps


@pytest.mark.slow
async def test_a_take_for_one_service_reads_no_row_of_another(tmp_path: Path) -> None:
    stores = SqliteStores(tmp_path / "hub.db")
    store = await stores.open()
    work = await begin(store, *(notification() for _ in range(20)))
    await store.postpone(work, delay=0, service=(HUB, Platform.FCM))
    before = steps_of_a_take(tmp_path / "hub.db", stores.clock)
    late = await begin(store, *(notification() for _ in range(50)))
    await store.postpone(late, delay=-60, service=(HUB, Platform.APNS))
    await stores.crash()
    writer = apsw.Connection(str(tmp_path / "hub.db"))
    columns = [name for _, name, *_ in writer.execute("PRAGMA table_info(notification)") if name not in ("n", "id")]
    writer.execute(
        "WITH RECURSIVE s (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 1000)"
        f" INSERT INTO notification (n, id, {', '.join(columns)}) SELECT {10**7} + o.n * 1000 + s.value, randomblob(16),"
        f" {', '.join(columns)} FROM notification o, s WHERE o.service LIKE 'apns%'"
    )
    assert list(writer.execute("SELECT count(*) FROM notification")) == [(50_070,)]
    writer.close()
    assert steps_of_a_take(tmp_path / "hub.db", stores.clock) == before
