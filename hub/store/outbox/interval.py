"""Whether it is time again for what is done now and then."""

import math
from collections.abc import Callable

PAUSE = 50
"""A look for what other processes may have written is followed by a pause of so many times as long as it took, at least."""


class Interval:
    """So many `seconds`, by `monotonic`, between two times; the first time is at once."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._last = -math.inf

    def has_passed(self) -> bool:
        """If it has, the next one begins."""
        now = self._monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True

    def end(self) -> None:
        """It has passed, however short it was."""
        self._last = -math.inf
