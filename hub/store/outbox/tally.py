"""How much waits, counted in memory from what passes through, and corrected by a count now and then."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

Waiting = Mapping[tuple[int, str], int]
"""Rows that have not ended, by lane and key of the push service."""


class Tally:
    """Belongs to the event loop."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str], int] = defaultdict(int)

    def add(self, lane: int, service: str, count: int = 1) -> None:
        self._counts[lane, service] += count

    def move(self, lane: int, before: str, after: str) -> None:
        self._counts[lane, before] -= 1
        self._counts[lane, after] += 1

    def move_lane(self, before: int, after: int, count: int) -> None:
        """Of what has no service yet."""
        self._counts[before, ""] -= count
        self._counts[after, ""] += count

    def waits_in(self, lane: int) -> bool:
        """Whether anything without a service waits in a lane."""
        return self._counts[lane, ""] > 0

    def waits_at_all(self, lane: int) -> bool:
        """Whether anything waits in a lane, with a service or without."""
        return next(self.of_lane(lane), None) is not None

    def count(self, lane: int, service: str) -> int:
        """How many wait in one place."""
        return self._counts[lane, service]

    def of_lane(self, lane: int) -> Iterator[tuple[str, int]]:
        """Keys of services for which something waits in a lane, and how much."""
        return ((service, count) for (of, service), count in self._counts.items() if of == lane and count > 0)

    def services(self) -> set[str]:
        """Keys of services for which something waits."""
        return {service for (_, service), count in self._counts.items() if service and count > 0}

    def by_service(self) -> dict[str, int]:
        counts: dict[str, int] = defaultdict(int)
        for (_, service), count in self._counts.items():
            if count > 0:
                counts[service] += count
        return counts

    def snapshot(self) -> Waiting:
        """For `correct`: how the tally stood before the count began."""
        return dict(self._counts)

    def correct(self, counted: Waiting, before: Waiting) -> None:
        """Take over a count. What came and went during the count may be in it or not: the next one puts that right."""
        after, self._counts = self._counts, defaultdict(int, counted)
        for place in after.keys() | before.keys():
            self._counts[place] += after.get(place, 0) - before.get(place, 0)
