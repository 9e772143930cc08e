"""A store that fails when it is told to, and says what was asked of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hub.acceptance import DeadLetter
from hub.errors import StoreError
from hub.store.contracts.store import Store
from hub.store.health import OPERATIONS
from hub.store.sqlite.store import SqliteStore


class FlakyStore(SqliteStore):
    """The embedded store, but the next `failures[operation]` calls of an operation fail and change nothing."""

    def __init__(self, path: Path, *, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(path, wall=clock, monotonic=clock, allow_ephemeral=True, **options)
        self.failures, self.calls = Counter[str](), Counter[str]()
        self._news = asyncio.Event()
        for operation in OPERATIONS:
            setattr(self, operation, self._flaky(operation, getattr(self, operation)))

    async def called(self, operation: str, times: int = 1) -> None:
        """Return when the operation was called so many times from now on."""
        wanted = self.calls[operation] + times
        while self.calls[operation] < wanted:
            self._news.clear()
            await self._news.wait()

    async def looked(self) -> None:
        """Return when each lane has been looked at from now on, and what was found has been taken."""
        await self.called("take", 4)

    def _flaky(self, operation: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def flaky(*args: Any, **kwargs: Any) -> Any:
            self.calls[operation] += 1
            self._news.set()
            if self.failures[operation] > 0:
                self.failures[operation] -= 1
                raise StoreError(f"{operation} fails in a test")
            return await call(*args, **kwargs)

        return flaky


async def dead_letters(store: Store) -> list[DeadLetter]:
    """All that are kept, with their bodies, newest first."""
    kept = await store.letters(limit=1000)
    return [(await store.letter(one.id)).letter for one in kept.items]
