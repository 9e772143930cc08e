"""A host's two clocks, which move when they are told to."""

from tests.fakes.clock import START as START


class HostClock:
    """The clock on the wall, in seconds since 1970 UTC, and the monotonic one. Call it for the time of day."""

    def __init__(self) -> None:
        self.time_of_day = START
        self.elapsed = 1000.0

    def __call__(self) -> float:
        return self.time_of_day

    def monotonic(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.time_of_day += seconds
        self.elapsed += seconds

    def set_by(self, seconds: float) -> None:
        """The clock on the wall is set, forward or back; no time passes."""
        self.time_of_day += seconds
