"""The store on SQLite keeps the contract of all stores; what is its own is tested beside it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store.base import Lane, Store
from hub.store.seen import SeenWindow
from hub.store.sqlite import SqliteStore
from tests.fakes.clock import FakeClock
from tests.hub.store.behaviour import StoreBehaviour
from tests.hub.store.harness import Stores


class SqliteStores:
    """Stores on one file."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.expired: list[tuple[Lane, int]] = []
        self._path = path
        self._opened: list[Store] = []

    async def open(self, *, window: SeenWindow = SeenWindow()) -> Store:
        store = SqliteStore(
            self._path,
            window=window,
            clock=self.clock,
            expired=lambda lane, count: self.expired.append((lane, count)),
        )
        await store.open()
        self._opened.append(store)
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


class TestSqliteStore(StoreBehaviour):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[Stores]:
        stores = SqliteStores(tmp_path / "hub.db")
        yield stores
        await stores.close()
