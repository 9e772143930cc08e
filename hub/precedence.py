"""Who goes first on the event loop: flows that have little to do before those that have much."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PAGES = "pages of broadcasts"
"""The flow of all broadcasts together; sources and their notifications are of the flow with the source's name."""

_LIGHT = 1 / 8
"""Of all that was done of late: a flow with no more of it is light."""
_LATELY = 1.0
"""Seconds after which what was done counts a third of what it counted first."""
_AGE_EVERY = 0.05

PATIENCE = 0.004
"""Seconds for which other work stands back at a time: an event that has the loop to itself is accepted within 3 ms. Behind
them the other work has a slice, so that it goes on beside light flows that always have something under way."""

_LONGEST = 0.05
"""Seconds for which others stand back for one piece of work: one that takes longer waits for something else, as a schema,
or a body that comes slowly."""


class Precedence:
    """What the flows of a process share: sources, and broadcasts.

    A flow is light while it had a small share of what was done in the last second. What is under way of a light flow is
    `ahead`: until it has ended, all other work stands back between two slices, by `give_way`. A light flow that gets more
    done at the cost of the others is not light any more, so the others keep the larger share. Other work stands back for
    `patience` seconds at a time. `clock` is in seconds.
    """

    def __init__(self, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._done: dict[str, float] = {}
        self._all = 0.0
        self._as_of = clock()
        self._has_light = False  # whether a light flow did something of late
        self._under_way: dict[object, float] = {}  # since when, the oldest first
        self._standing_back: deque[asyncio.Future[None]] = deque()

    def did(self, flow: str, amount: int) -> None:
        """So many events, or pushes of a broadcast, of a flow are being done."""
        self._age()
        self._done[flow] = self._done.get(flow, 0.0) + amount
        self._all += amount

    def is_light(self, flow: str | None) -> bool:
        """Whether what is done of the flow goes first; a flow that is alone is not light, nor is work of several: None."""
        return flow is not None and self._done.get(flow, 0.0) <= self._all * _LIGHT

    @contextmanager
    def ahead(self, flow: str | None) -> Iterator[None]:
        """Other work stands back for what is done in the block, if the flow is light."""
        if not self.is_light(flow):
            yield
            return
        entry = object()
        self._under_way[entry] = self._clock()
        try:
            yield
        finally:
            del self._under_way[entry]
            self._let_next()

    def is_asked(self, flow: str | None = None) -> bool:
        """Whether work of the flow has to stand back."""
        if not self._under_way:
            return False
        newest = next(reversed(self._under_way.values()))
        return self._clock() - newest < _LONGEST and not self.is_light(flow)

    def is_awaited(self, flow: str | None = None) -> bool:
        """Whether work of the flow may have to stand back at any moment: a light flow did something of late."""
        return self._has_light and not self.is_light(flow)

    async def give_way(self, flow: str | None = None) -> None:
        """Let what is ahead end, or go on for a few milliseconds. What stands back goes on one by one, in order."""
        if self.is_light(flow) or not (self.is_asked() or self._standing_back):
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._standing_back.append(turn)
        timer = loop.call_later(self._patience, _resolve, turn)
        try:
            await turn
        finally:
            timer.cancel()
            self._standing_back.remove(turn)
            loop.call_soon(self._let_next)  # behind the slice of this one

    def _let_next(self) -> None:
        if self._standing_back and not self.is_asked():
            _resolve(self._standing_back[0])

    def _age(self) -> None:
        now = self._clock()
        if now - self._as_of < _AGE_EVERY:
            return
        factor = math.exp((self._as_of - now) / _LATELY)
        self._as_of = now
        self._done = {flow: left for flow, done in self._done.items() if (left := done * factor) > 0.01}
        self._all = math.fsum(self._done.values())
        self._has_light = any(map(self.is_light, self._done))


def _resolve(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
