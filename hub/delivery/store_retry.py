"""Calls of the store that are repeated in place until the store does them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hub.backoff import Backoff
from hub.errors import StoreError
from hub.store.health import StoreHealth

T = TypeVar("T")


class StoreRetry:
    """`backoff` is the first wait and the longest, in seconds."""

    def __init__(self, health: StoreHealth, *, backoff: tuple[float, float]) -> None:
        self._health = health
        self._first, self._longest = backoff
        self._failing: set[object] = set()

    @property
    def is_behind(self) -> bool:
        """Whether a call waits for a store that failed: nothing more is to be taken then."""
        return bool(self._failing)

    async def until_stored(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call in place until the store does it: giving up would push everything again.

        Until then nothing more is taken: what was pushed has to reach the store first.
        """
        backoff = Backoff(first=self._first, longest=self._longest)
        entry = object()
        try:
            with self._health.repeating(operation):
                while True:
                    try:
                        return await call()
                    except StoreError:
                        self._failing.add(entry)
                    await self._health.pause(backoff.next())
        finally:
            self._failing.discard(entry)
