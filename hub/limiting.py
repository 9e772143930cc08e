"""How often a caller may do what may not be done often."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST_CALLERS: Final = 10_000
"""Callers that are remembered; beyond, the one that was counted least recently is forgotten."""


class CallerLimit:
    """A bucket for each caller: `burst` events at once, and one more each `seconds`. `clock` is in seconds."""

    def __init__(self, *, burst: int, seconds: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_for(self, caller: str) -> float:
        """Seconds until the caller is heard again; 0 for now."""
        over = self._level(caller) - self._burst
        return 0.0 if over < 0 else (over + 1) * self._seconds

    def count(self, caller: str) -> None:
        """Count an event; those made while the caller is put off lengthen nothing."""
        level = min(self._level(caller) + 1, float(self._burst))
        self._spent[caller] = (level, self._clock())
        self._spent.move_to_end(caller)
        if len(self._spent) > _MOST_CALLERS:
            self._spent.popitem(last=False)

    def _level(self, caller: str) -> float:
        level, at = self._spent.get(caller, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / self._seconds)
