"""How long to wait before trying again: waits that double from a first one up to a longest one."""


def doubled(attempt: int, *, first: float, longest: float) -> float:
    """Seconds to wait after try number `attempt`, counted from 1."""
    return min(longest, first * 2.0 ** min(attempt - 1, 30))


class Backoff:
    """The waits of one thing that is tried again and again, in seconds. Not frozen: a wait counts as taken."""

    def __init__(self, *, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._attempt = 0

    def next(self) -> float:
        """The wait after one more failure."""
        self._attempt += 1
        return doubled(self._attempt, first=self._first, longest=self._longest)

    def reset(self) -> None:
        """Begin with the first wait again: the thing has worked."""
        self._attempt = 0
