"""How many messages a source takes at a time, by whether other sources have any."""

import time
from collections.abc import Callable

MAX_BATCH = 500
"""Messages taken to the store in one transaction at most."""

SHARED_BATCH = 100
"""The same beside another source, whose messages may have to wait for a batch at the store, and for what is made of it in
one go. With 100 a flood has 0.9 of the messages a CPU-second that it has with 500 (measured)."""

_BESIDE = 5.0
"""Seconds for which a source that took something counts: one that has a message now and then finds short batches."""


class BatchSizes:
    """What the sources of a process share. `clock` is in seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._took_at: dict[str, float] = {}

    def took(self, source: str) -> None:
        """The source has taken a batch."""
        self._took_at[source] = self._clock()

    def most(self, source: str) -> int:
        """How many messages the source may take at a time."""
        since = self._clock() - _BESIDE
        is_alone = all(other == source or at < since for other, at in self._took_at.items())
        return MAX_BATCH if is_alone else SHARED_BATCH
