"""Scrapes that come faster than they can be answered share an answer, so that no scraper takes the loop from events."""

import asyncio
from collections.abc import Awaitable, Callable


class SharedScrapes:
    """Has one answer made at a time. Who asks meanwhile gets the next one, which begins after all of them have asked."""

    def __init__(self, make: Callable[[], Awaitable[bytes]]) -> None:
        self._make = make
        self._under_way: asyncio.Task[bytes] | None = None
        self._next: asyncio.Task[bytes] | None = None

    async def answer(self) -> bytes:
        """No older than the question. What making it raises, all get who wait for it."""
        if self._under_way is None:
            self._under_way = self._begin()
            return await asyncio.shield(self._under_way)  # who hangs up takes it from nobody else
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._under_way))
        return await asyncio.shield(self._next)

    def _begin(self) -> asyncio.Task[bytes]:
        task = asyncio.ensure_future(self._made())
        task.add_done_callback(self._ended)
        return task

    async def _made(self) -> bytes:
        return await self._make()

    async def _after(self, before: asyncio.Task[bytes]) -> bytes:
        await asyncio.wait([before])
        self._next = None
        self._under_way = self._begin()
        return await self._under_way

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        if self._under_way is task:
            self._under_way = None
