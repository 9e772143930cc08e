"""A clock for waits: it looks like the time of day and cannot be set."""

import time
from collections.abc import Callable


class SteadyClock:
    """Seconds since 1970 UTC as a host's clock had them at the start, and from then on as its monotonic clock counts.

    What waits by this clock waits as long as it was to, however often the host's clock is set. Times in the store are
    the store's own: between the two go durations alone.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def __call__(self) -> float:
        return self._monotonic() + self._offset
