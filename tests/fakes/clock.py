"""A clock that moves when it is told to."""

START = 1_800_000_000.0  # seconds since 1970 UTC: January 2027


class FakeClock:
    """Seconds since 1970 UTC; call it for the time."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
