"""Marks of events forgotten in time: a sweep over their keys, a small range a second, all round and round.

The keys are hashes, so each range is as full as any other. A round also counts the marks by age; where there are more than
the bound, the oldest are forgotten at once, for a mark from before `oldest` counts as none, and the next round drops them.
"""

from collections import Counter
from dataclasses import dataclass

from hub.store.connection import Connection, Statement

AGES = Statement(
    "seen.ages",
    "SELECT at / :width, count(*) FROM seen WHERE key >= :first AND key < :last GROUP BY at / :width",
)
FORGET = Statement("seen.forget", "DELETE FROM seen WHERE key >= :first AND key < :last AND at < :oldest")

RANGES = 1024
_BUCKETS = 128
_END = b"\xff" * 17


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWindow:
    """How long, in seconds, a repeated event is known as such, and how many events are remembered at most."""

    seconds: float = 24 * 3600.0
    max_rows: int = 20_000_000


class SeenSweep:
    """Where the sweep is. `step` gives the jobs for a range; both belong to the event loop."""

    def __init__(self, window: SeenWindow, *, ranges: int = RANGES) -> None:
        self._window = window
        self._ranges = ranges
        self._next = 0
        self._width = max(1, int(window.seconds / _BUCKETS))
        self._ages = Counter[int]()
        self._cutoff = 0
        self._is_over = False

    @property
    def is_behind(self) -> bool:
        """Whether there were more marks than the bound: sweep faster."""
        return self._is_over

    def oldest(self, now: float) -> int:
        """Marks from before this time count as none."""
        return max(int(now - self._window.seconds), self._cutoff)

    def range(self) -> tuple[bytes, bytes]:
        """The keys to look at, from the first to before the last."""
        first, last = (n * 2**32 // self._ranges for n in (self._next, self._next + 1))
        return first.to_bytes(4, "big"), _END if last == 2**32 else last.to_bytes(4, "big")

    def ages(self, connection: Connection) -> dict[int, int]:
        """Marks of the range by age, in units of `width` seconds since 1970."""
        first, last = self.range()
        return dict(connection.read(AGES, width=self._width, first=first, last=last))

    def has_old(self, ages: dict[int, int], now: float) -> bool:
        return any(age * self._width < self.oldest(now) for age in ages)

    def forget(self, connection: Connection, now: float) -> None:
        first, last = self.range()
        connection.write(FORGET, first=first, last=last, oldest=self.oldest(now))

    def passed(self, ages: dict[int, int]) -> None:
        """Go on to the next range; at the end of a round, see whether there are too many."""
        self._ages.update(ages)
        self._next = (self._next + 1) % self._ranges
        if self._next == 0:
            self._bound()

    def _bound(self) -> None:
        room = self._window.max_rows
        self._is_over = self._ages.total() > room
        for age in sorted(self._ages, reverse=True):
            room -= self._ages[age]
            if room < 0:
                self._cutoff = max(self._cutoff, (age + 1) * self._width)
                break
        self._ages.clear()
