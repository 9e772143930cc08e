"""Stores for tests: each is empty, real, and gone with the test."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.database import SqliteTuning
from hub.store.sqlite.store import SqliteStore

_TUNING = SqliteTuning(synchronous="OFF", check=0.0)
"""Nothing of a store outlasts its test."""


class SuiteClock:
    """A time that moves when it is told to."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._passed = timedelta()

    def now(self) -> datetime:
        return self._start + self._passed

    def seconds(self) -> float:
        """Since 1970 UTC."""
        return self.now().timestamp()

    def passed(self) -> float:
        """Seconds since the start."""
        return self._passed.total_seconds()

    def advance(self, seconds: float) -> None:
        self._passed += timedelta(seconds=seconds)


class SuiteStores:
    """Makes stores in a temporary directory; a copy of an empty one opens in a third of the time."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pushbridge-test-")
        self._empty: Path | None = None
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    @asynccontextmanager
    async def opened(self, clock: SuiteClock, *, window: SeenWindow) -> AsyncIterator[SqliteStore]:
        """An empty store by this clock. Raises: StoreError, OSError."""
        if self._empty is None:
            self._empty = await self._made_empty()
        self._made += 1
        path = Path(self._directory.name) / str(self._made) / "test.db"
        path.parent.mkdir(mode=0o700)
        shutil.copy(self._empty, path)  # with its mode
        store = SqliteStore(
            path, allow_ephemeral=True, tuning=_TUNING, wall=clock.seconds, monotonic=clock.passed, window=window
        )
        await store.open()
        try:
            yield store
        finally:
            await store.close()
            shutil.rmtree(path.parent)

    async def _made_empty(self) -> Path:
        path = Path(self._directory.name) / "empty.db"
        store = SqliteStore(path, allow_ephemeral=True, tuning=_TUNING)
        await store.open()
        await store.close()
        return path
