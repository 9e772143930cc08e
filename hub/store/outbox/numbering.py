"""Numbers for the rows of queues: no other row has the same, in any queue, and a later row has a larger one.

A store with one queue counts. Where there are several, a number says when it was given, and for which queue: so that lists
of all queues have one order, and a number alone finds its row. Blocks of numbers are reserved on the row of a queue.
"""

from collections.abc import Sequence
from typing import Protocol

QUEUES = 64
"""Queues of a store that several processes may share."""

_COUNTED = 100_000
"""Numbers that an owner reserves at a time where it counts."""
_EPOCH = 1_577_836_800.0
"""2020-01-01 UTC: numbers stay below 2**53, which is as far as JSON goes, until 2089."""
_EACH_MS = 64
"""Numbers that a process has for each millisecond; one that needs more borrows from the next ones."""
_PER_SECOND = 1000 * _EACH_MS * QUEUES
_AHEAD = 30.0
"""Seconds whose numbers an owner reserves at a time. After a takeover the new owner's begin behind them."""
_REFILLED = 15.0
_OLD = 2**40
"""Numbers below are of a store that counted, before its rows came here; they were of queue 0."""


class Numbering(Protocol):
    step: int

    def floor(self, queue: int, now: float, latest: int = 0) -> int:
        """The smallest number that may be given at a time, above `latest`, which this process gave for any queue."""

    def block(self, count: int) -> int:
        """By how much the next number of a queue grows to reserve `count`."""

    def is_low(self, queue: int, block: range, now: float) -> bool:
        """Whether it is time to reserve more."""

    def queue_of(self, number: int) -> int:
        """Of a notification, a dead letter, an event or an audit row; a page may wait in another queue."""


class Counted:
    """For one queue."""

    step = 1

    def floor(self, queue: int, now: float, latest: int = 0) -> int:
        return 0

    def block(self, count: int) -> int:
        return max(_COUNTED, count)

    def is_low(self, queue: int, block: range, now: float) -> bool:
        return len(block) < _COUNTED // 2

    def queue_of(self, number: int) -> int:
        return 0


class Stamped:
    """For many."""

    step = QUEUES

    def floor(self, queue: int, now: float, latest: int = 0) -> int:
        return max(stamp(now), (latest // QUEUES + 1) * QUEUES) + queue

    def block(self, count: int) -> int:
        return max(int(_AHEAD * _PER_SECOND), count * QUEUES)

    def is_low(self, queue: int, block: range, now: float) -> bool:
        return block.stop - self.floor(queue, now) < _REFILLED * _PER_SECOND

    def queue_of(self, number: int) -> int:
        return number % QUEUES if number >= _OLD else 0


def stamp(at: float) -> int:
    """The smallest of the numbers of a millisecond."""
    return max(0, int((at - _EPOCH) * 1000)) * _EACH_MS * QUEUES


def numbering_for(queues: Sequence[int]) -> Numbering:
    return Counted() if len(queues) == 1 else Stamped()
