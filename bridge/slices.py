"""Long work on the event loop, in slices."""

import asyncio
import time

SLICE = 0.005
"""Seconds after which the others get their turn."""


class TimeSlice:
    """How long a task has had the event loop; call `yield_if_spent` between two steps of the work."""

    def __init__(self, seconds: float = SLICE) -> None:
        self._seconds = seconds
        self._ends_at = time.perf_counter() + seconds

    async def yield_if_spent(self) -> None:
        """Let everything else run, if the time is over."""
        if time.perf_counter() > self._ends_at:
            await asyncio.sleep(0)
            self._ends_at = time.perf_counter() + self._seconds
