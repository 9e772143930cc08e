"""Long work on the event loop, in slices."""

import asyncio
import time
from collections.abc import Callable

from hub.precedence import Precedence

SLICE = 0.002
"""Seconds after which the others get their turn."""

SHORT_SLICE = 0.0005
"""The same while something of a light flow is under way, or may come: a request is not seen before the slice has ended that
it comes in, nor taken before another of each task that has long work."""

_TURNS = 4
"""Turns of the loop that the others get between two slices. To answer a request takes ten of them, one after the other:
with one turn a slice it would wait for ten slices of each task that has long work. A turn of an idle loop costs 10 µs."""
_TURNS_TO_BE_SEEN = 2
"""The same after a short slice: in one a request is read, in the next its source has it, and then others stand back."""


class TimeSlice:
    """How long a task has had the event loop; call `yield_if_spent` between two steps of the work.

    The work is of a `flow` of `precedence`, if that is given, and stands back for what is ahead of it.
    """

    def __init__(
        self,
        seconds: float = SLICE,
        *,
        precedence: Precedence | None = None,
        flow: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._seconds = seconds
        self._precedence = precedence
        self._flow = flow
        self._clock = clock
        self._began_at = clock()

    @property
    def may_be_spent(self) -> bool:
        """Whether `yield_if_spent` could do anything: to ask costs less than to wait for nothing."""
        return self._clock() - self._began_at > min(SHORT_SLICE, self._seconds)

    async def yield_if_spent(self) -> None:
        """Let everything else run, if the time is over."""
        taken = self._clock() - self._began_at
        if taken <= min(SHORT_SLICE, self._seconds):
            return
        if self._precedence is not None and self._precedence.is_asked(self._flow):
            await self._precedence.give_way(self._flow)
        elif self._precedence is not None and self._precedence.is_awaited(self._flow):
            await _pass(_TURNS_TO_BE_SEEN)
        elif taken > self._seconds:
            await _pass(_TURNS)
        else:
            return
        self._began_at = self._clock()


async def _pass(turns: int) -> None:
    """Let so many turns of the loop go by."""
    for _ in range(turns):
        await asyncio.sleep(0)
