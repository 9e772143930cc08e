"""How many messages to ask for, when the answer to a large request comes only when it is full or the queue is silent."""

_BRISK = 0.1
"""Seconds, beyond two round trips, within which an answer counts as having been waiting already."""


class FetchSizer:
    """Grows while there is a backlog, so that batches are large; small otherwise, so that no message waits for others.

    The SDK returns a request at once when it is filled, and else 0.2 to 0.4 seconds after the first message. Asked for
    one, a lone message is here at once. Each request that was filled briskly doubles the next one.
    """

    def __init__(self) -> None:
        self.size = 1

    def observe(self, asked: int, got: int, *, seconds: float, round_trip: float) -> None:
        """`asked` were asked for and `got` came within `seconds`; `round_trip` is what a question to the broker takes."""
        if got < asked:
            self.size = 1
        elif seconds <= _BRISK + 2 * round_trip:
            self.size = max(self.size, asked * 2)
        else:
            self.size = max(1, asked // 2)
