"""How many pieces of large pages are with a push service at a time, and how long they are.

What is in flight at a crash is repeated, so no more is in flight than makes a broadcast quicker. A service that is only far
away answers a second piece as soon as the first: the window grows. One that has enough to do lets the second wait: it
shrinks (the idea of TCP Vegas; Brakmo and Peterson, 1995). Each piece costs something of its own, so pieces are longer
where the service takes many pushes a second: they still take it no longer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SHORT, LONG = 40, 100
"""Pushes of a piece, at least and at most: what a crash repeats of a page, at most, of what was answered."""
_SLOW, _QUICK = 3000, 5000
"""Pushes that a service takes in a second: up to the first pieces are short, from the second on they are long."""
_COUNTED_FOR, _KEPT = 0.1, 0.8
"""Seconds over which answers are counted, and how much of the last rate the next has at least."""
_UNNOTICED = 0.00075
"""Seconds for each push in which a piece may be answered always: nothing is gained by having less in flight."""
_GROWS, _SHRINKS = 1.3, 1.6
"""Times the shortest time of a piece: below the first the window grows, above the second it shrinks."""
_MEASURED_EVERY = 1000
"""Pieces after which the shortest time is measured again, with one piece alone: a service may have become slower."""


class PieceWindow:
    """`most` bounds the pieces that are sent at a time. Places are given in the order in which they are asked for."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._shortest: float | None = None
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._until_measured = _MEASURED_EVERY
        self._size_after = 0
        self._counted = 0
        self._counted_since = 0.0
        self._rate = 0.0
        self.size = 1
        self.length = SHORT
        """Pushes in a piece that is made now."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and have it."""
        if self._taken >= self.size or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._leave()
                raise
        else:
            self._taken += 1
        try:
            yield
        finally:
            self._leave()

    def took(self, seconds: float, pushes: int, *, now: float) -> None:
        """A piece of so many pushes was answered, and went well, after so long."""
        self._count(pushes, now)
        if self._size_after:
            self._measure(seconds)
            return
        self._shortest = seconds if self._shortest is None else min(seconds, self._shortest)
        self._until_measured -= 1
        if not self._until_measured:
            self._until_measured = _MEASURED_EVERY
            self._size_after, self.size = self.size, 1
        elif seconds < max(_UNNOTICED * pushes, _GROWS * self._shortest):
            self.size = min(self._most, self.size + 1)
        elif seconds > max(_UNNOTICED * pushes, _SHRINKS * self._shortest):
            self.size = max(1, self.size - 1)

    def _count(self, pushes: int, now: float) -> None:
        self._counted += pushes
        elapsed = now - self._counted_since
        if elapsed < _COUNTED_FOR:
            return
        self._rate = max(self._counted / elapsed, _KEPT * self._rate)
        self._counted, self._counted_since = 0, now
        share = (self._rate - _SLOW) / (_QUICK - _SLOW)
        self.length = int(SHORT + (LONG - SHORT) * min(1.0, max(0.0, share)))

    def _measure(self, seconds: float) -> None:
        """Of pieces that went out beside others nothing is learned; the first alone has the shortest time."""
        if self._taken > 1:
            return
        self._shortest = seconds
        self.size, self._size_after = self._size_after, 0

    def _leave(self) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self.size:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
