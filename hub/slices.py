"""Long work on the event loop, in slices."""

import asyncio
import time
from collections.abc import Callable

SLICE = 0.002
"""Seconds after which the others get their turn."""

_TURNS = 4
"""Turns of the loop that the others get between two slices. To answer a request takes ten of them, one after the other:
with one turn a slice it would wait for ten slices of each task that has long work. A turn of an idle loop costs 10 µs."""


class TimeSlice:
    """How long a task has had the event loop; call `yield_if_spent` between two steps of the work."""

    def __init__(self, seconds: float = SLICE, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends_at = clock() + seconds

    async def yield_if_spent(self) -> None:
        """Let everything else run, if the time is over."""
        if self._clock() > self._ends_at:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._ends_at = self._clock() + self._seconds
