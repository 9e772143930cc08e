"""The store's time: the host's wall clock, whose steps wait until the store has moved its waiting work by as much.

A clock that is set by hours, by hand or by a time server after a long drift, would make waiting work due at once, or not
for hours, or older than its age. So `now` goes on as if the step had not been. The store asks for `step`, moves the due
times and the ages of all open work by it in one transaction, and calls `adopt`: work and clock move together. What a user
named as a time of day (a schedule, an expiry) is compared with `wall`.
"""

import math
import threading
import time
from collections.abc import Callable

_STEP = 0.5
"""Seconds by which wall clock and monotonic clock may differ between two looks; slewing and rounding stay below."""
_APART = 0.1
"""Seconds that may pass between reading one clock and the other; after a longer pause both are read again."""
_TRIES = 5
_WORSE = 1.1
"""By how much a reading of a reference is worth less with each that follows: clocks drift."""
_LOOKS_EVERY = 0.05
"""Seconds after a look in which the monotonic clock alone is read: a push asks for the time more than once."""


class ReferenceClock:
    """The time of a database that several hosts share, in seconds since 1970 UTC: what the hosts' clocks say is not asked.

    Until it is set for the first time it is the host's own. `wall` and `monotonic` read the host's clocks.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._span = math.inf

    def __call__(self) -> float:
        return self._monotonic() + self._offset

    def set(self, offset: float, span: float) -> None:
        """The reference less the monotonic clock, read within `span` seconds.

        A reading that was slower than the one before says nothing new, unless it shows that the reference was set.
        """
        if span <= self._span or abs(offset - self._offset) > span / 2 + self._span / 2:
            self._offset, self._span = offset, span
        else:
            self._span *= _WORSE


class StoreClock:
    """Seconds since 1970 UTC. For all threads. `wall` and `monotonic` read the host's clocks, in seconds.

    A suspended machine is a step too: its monotonic clock stood still, and so did the work.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read_wall = wall
        self._read_monotonic = monotonic
        self._lock = threading.Lock()
        self._held = 0.0
        self._last: tuple[float, float] | None = None
        self._seen = (0.0, -math.inf)  # the store's time at the last look, and the monotonic clock then

    def resume(self, last: float) -> None:
        """A store was opened whose last time was `last`: a time that lies ahead is of a clock that was set back since."""
        with self._lock:
            wall = self._look()
            self._held = min(0.0, wall - last)
            self._seen = (0.0, -math.inf)

    def restart(self) -> None:
        """What was read until now was not the clock to follow."""
        with self._lock:
            self._held, self._last, self._seen = 0.0, None, (0.0, -math.inf)

    def now(self) -> float:
        """The store's time, which no step has moved that was not adopted."""
        now, monotonic = self._seen
        passed = self._read_monotonic() - monotonic
        if passed < _LOOKS_EVERY:
            return now + passed
        with self._lock:
            return self._look() - self._held

    def wall(self) -> float:
        """The host's time of day."""
        with self._lock:
            return self._look()

    @property
    def step(self) -> float:
        """Seconds by which the host's clock has been set, and the store's has not; 0 nearly always, negative for back."""
        with self._lock:
            self._look()
            return self._held

    def adopt(self, step: float) -> None:
        """The open work has been moved by `step` seconds: so does `now`, from this moment on. Call it with the commit."""
        with self._lock:
            self._held -= step
            self._seen = (0.0, -math.inf)

    def _look(self) -> float:
        for _ in range(_TRIES):
            before, wall, monotonic = self._read_monotonic(), self._read_wall(), self._read_monotonic()
            if monotonic - before <= _APART:
                break
        if self._last is not None:
            last_wall, last_monotonic = self._last
            step = (wall - last_wall) - (monotonic - last_monotonic)
            if abs(step) > _STEP:
                self._held += step
        self._last = wall, monotonic
        self._seen = wall - self._held, monotonic
        return wall
