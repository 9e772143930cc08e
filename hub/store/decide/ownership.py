"""Which queues a process claims and which it gives back: decided from what it reads of all processes and queues.

No clock of a host is compared with another. An owner counts as dead when its beat has not changed for a while by the
reader's monotonic clock, and the reader has read it all that time: while the database is away, nobody's beat changes.
"""

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_GIVEN_BACK = 2
"""A process gives back half of what it has too much, and at least one queue, each time: the others claim that first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipTiming:
    """Seconds by a monotonic clock."""

    every: float = 1.0
    """Between two renewals."""
    unrenewed: float = 5.0
    """After the last confirmed renewal an owner starts no push."""
    dead_after: float = 7.0
    """A beat that stood still for so long is that of a dead process. Longer than `unrenewed`: an owner that is only slow
    has stopped by then."""
    unbroken: float = 3.0
    """Between two reads of a beat, at most: after a longer pause the watch starts again."""
    forgotten: float = 60.0
    """After this time the row of a dead process is deleted."""


TIMING = OwnershipTiming()


class QueueRow(NamedTuple):
    """`owner` is empty where the queue was given back."""

    queue: int
    owner: str
    fence: int


class ProcessRow(NamedTuple):
    """`serves` are keys of the push services that the process has a sender for, and of the hubs that it knows; `waiting`
    is how much waits in its queues, by key of the push service."""

    id: str
    beat: float
    share: int
    serves: frozenset[str]
    waiting: Mapping[str, int]
    version: str


class BeatWatch:
    """For how long the beat of each process has stood still."""

    def __init__(self, timing: OwnershipTiming) -> None:
        self._timing = timing
        self._read_at = -math.inf
        self._since: dict[str, tuple[float, float]] = {}

    def read(self, beats: Mapping[str, float], now: float) -> None:
        """All beats as they are at `now`."""
        known = {} if now - self._read_at > self._timing.unbroken else self._since
        self._since = {
            process: known[process] if process in known and known[process][0] == beat else (beat, now)
            for process, beat in beats.items()
        }
        self._read_at = now

    def fail(self) -> None:
        """The beats could not be read."""
        self._since = {}

    def still(self, process: str, now: float) -> float:
        """Seconds; 0 for one that is not watched."""
        return now - self._since[process][1] if process in self._since else 0.0

    def next_read(self, now: float) -> float:
        """Seconds until the beats are to be read again: regularly, and when the next process counts as dead."""
        left = (self._timing.dead_after - (now - since) for _, since in self._since.values())
        return min([self._timing.every, *(seconds for seconds in left if seconds > 0)])

    def is_dead(self, process: str, now: float) -> bool:
        return self.still(process, now) >= self._timing.dead_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`claim` are free queues, `excess` is how many of its own a process gives back now; `lost` have another owner."""

    share: int
    claim: Sequence[QueueRow] = ()
    excess: int = 0
    lost: Collection[int] = ()


def decide_ownership(
    me: str, fences: Mapping[int, int], queues: Sequence[QueueRow], live: Collection[str], dead: Collection[str]
) -> Plan:
    """`fences` are those under which this process owns its queues; `live` and `dead` are all processes but this one."""
    lost = [row.queue for row in queues if row.queue in fences and (row.owner, row.fence) != (me, fences[row.queue])]
    owned = len(fences) - len(lost)
    share = math.ceil(len(queues) / (1 + len(live)))
    free = [row for row in queues if row.queue not in fences and (row.owner in ("", me) or row.owner in dead)]
    first = first_queue(me, len(queues))
    free.sort(key=lambda row: (row.queue - first) % len(queues))  # so that two that claim begin apart
    above = owned - share
    return Plan(
        share=share,
        claim=free[: max(0, -above)],
        excess=max(1, above // _GIVEN_BACK) if above > 0 else 0,
        lost=lost,
    )


def first_queue(process: str, queues: int) -> int:
    """A queue that stands for a process: where it accepts while it owns none."""
    return zlib.crc32(process.encode()) % queues
