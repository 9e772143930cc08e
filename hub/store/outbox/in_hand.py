"""What this process has in hand, and how far it has read its queues: with these, to take work is to read it.

Nothing is written when work is taken, so its rows stay where they are in the index. A cursor for each place passes them
once; every few seconds a place is read from its start again, leaving out what is in hand. So work that another process
wrote behind the cursor, or that was dropped after a defect, is found then.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

Key = tuple[int, int]
"""A row of work: its queue and its number there."""

Position = tuple[float, int]
"""In the order of due: a due time and a number."""

START: Position = (-math.inf, 0)


class Place(NamedTuple):
    """Where work waits in order of due; `service` is the key of a push service, empty for work without one."""

    queue: int
    lane: int
    service: str


class Candidate(NamedTuple):
    """A row that is due, as the index has it; sorted in order of due."""

    due: float
    n: int
    place: Place
    is_page: bool


class InHand:
    """The rows that this process took or started. Everything but `in` belongs to the event loop.

    `monotonic` is in seconds; a place is read from its start `again` seconds after it was last.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, again: float = 5.0) -> None:
        self._monotonic = monotonic
        self._again = again
        self._held: dict[Key, Place] = {}
        self._counts: dict[Place, int] = defaultdict(int)
        self._reserved: list[tuple[int, range]] = []
        self._cursors: dict[Place, Position] = {}
        self._read_from_start: dict[Place, float] = {}
        self._look: Look | None = None

    def __contains__(self, key: Key) -> bool:
        """May be asked from any thread."""
        if key in self._held:
            return True
        queue, n = key
        return any(queue == of and n in numbers for of, numbers in tuple(self._reserved))

    def __len__(self) -> int:
        return len(self._held)

    def count(self, place: Place) -> int:
        """How many rows of a place may be in hand; no fewer are."""
        reserved = 0
        if not place.service:
            reserved = sum(len(numbers) for queue, numbers in self._reserved if queue == place.queue)
        return self._counts.get(place, 0) + reserved

    def count_of_lane(self, lane: int) -> int:
        return sum(count for place, count in self._counts.items() if place.lane == lane)

    def has(self, queue: int) -> bool:
        """Whether rows of a queue are in hand, or about to be."""
        return any(place.queue == queue for place in self._counts) or any(of == queue for of, _ in self._reserved)

    def hold(self, key: Key, place: Place) -> None:
        self._held[key] = place
        self._counts[place] += 1

    def leave(self, key: Key) -> None:
        """The row ended, or waits again: then `waits` has to follow."""
        place = self._held.pop(key, None)
        if place is None:
            return
        self._counts[place] -= 1
        if not self._counts[place]:
            del self._counts[place]
        if self._look is not None:
            self._look.left.add(key)

    def reserve(self, queue: int, numbers: range) -> None:
        """Rows of these numbers are about to be written, and some of them to be held: until `release` no look takes any."""
        self._reserved.append((queue, numbers))

    def release(self, queue: int, numbers: range) -> None:
        self._reserved.remove((queue, numbers))

    def waits(self, place: Place, due: float) -> None:
        """A row waits in a place since now: the cursor goes back to where the row can be found."""
        before = (due, 0)
        if self._cursors.get(place, START) > before:
            self._cursors[place] = before
        if self._look is not None:
            self._look.waiting[place] = min(before, self._look.waiting.get(place, before))

    def lose(self, queue: int) -> None:
        """The queue has another owner: nothing of it is in hand."""
        for key in [key for key in self._held if key[0] == queue]:
            self.leave(key)

    def read_again(self) -> None:
        """Read every place from its start: the due times of its rows have moved."""
        self._read_from_start.clear()

    def look(self, places: Iterable[Place], wanted: Mapping[str, int]) -> "Look":
        """Begin to read; `wanted` is how many rows by the key of a service. One look at a time, until `end`."""
        assert self._look is None
        now = self._monotonic()
        starts: dict[Place, Position] = {}
        for place in places:
            if now - self._read_from_start.get(place, -math.inf) >= self._again:
                self._read_from_start[place] = now
                self._cursors.pop(place, None)
            starts[place] = self._cursors.get(place, START)
        limits = {place: wanted[place.service] + self.count(place) for place in starts}
        self._look = Look(self, starts, limits, wanted)
        return self._look

    def fail(self) -> None:
        """The look came to nothing."""
        self._look = None

    def end(self, look: "Look", chosen: Sequence[Candidate]) -> list[Candidate]:
        """Hold those of `chosen` that are free still, and go on behind what the look has passed."""
        self._look = None
        free = []
        for candidate in chosen:
            key = (candidate.place.queue, candidate.n)
            if key not in look.left and key not in self._held:
                self.hold(key, candidate.place)
                free.append(candidate)
        for place, position in look.passed.items():
            self._cursors[place] = min(position, look.waiting.get(place, position))
        return free


class Look:
    """One reading of some places: begun and ended on the event loop, used in the thread that reads.

    `starts` are where to read on, `limits` how many rows of each kind have to be read at most to find what is wanted.
    """

    def __init__(
        self, hand: InHand, starts: Mapping[Place, Position], limits: Mapping[Place, int], wanted: Mapping[str, int]
    ) -> None:
        self.starts = starts
        self.limits = limits
        self.passed: dict[Place, Position] = {}
        self.left: set[Key] = set()
        self.waiting: dict[Place, Position] = {}
        self._hand = hand
        self._wanted = wanted

    def choose(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Of each service the first that are not in hand, in order of due, up to as many as are wanted."""
        by_service: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            by_service[candidate.place.service].append(candidate)
        chosen: list[Candidate] = []
        for service, found in by_service.items():
            room = self._wanted[service]
            for candidate in sorted(found):
                if room == 0:
                    break
                if (candidate.place.queue, candidate.n) not in self._hand:
                    chosen.append(candidate)
                    room -= 1
                self.passed[candidate.place] = (candidate.due, candidate.n)
        return chosen
