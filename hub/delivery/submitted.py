"""What is in hand from its acceptance on, until a batch of it begins."""

from collections import Counter, deque
from collections.abc import Sequence

from hub.precedence import Precedence
from hub.store.contracts.outbox import Work

_API = ""
"""The source of what is sent through the API."""


class SubmittedWork:
    """Work that waits to begin: that of light flows first, and each flow in its order."""

    def __init__(self, precedence: Precedence) -> None:
        self._precedence = precedence
        self._light: deque[Work] = deque()
        self._others: deque[Work] = deque()
        self._flows = Counter[str]()  # of the others

    def __bool__(self) -> bool:
        return bool(self._light or self._others)

    @property
    def has_light(self) -> bool:
        return bool(self._light)

    def add(self, work: Sequence[Work]) -> None:
        """Sources have counted their events by now; what is sent through the API is counted here."""
        for piece in work:
            flow = piece.notification.source
            if flow == _API:
                self._precedence.did(flow, 1)
            if self._flows[flow] or not self._precedence.is_light(flow):
                self._flows[flow] += 1
                self._others.append(piece)
            else:
                self._light.append(piece)

    def take(self, most: int) -> Sequence[Work]:
        """The next batch; what is light is not taken together with other work, and so does not wait for it."""
        if self._light:
            return [self._light.popleft() for _ in range(min(most, len(self._light)))]
        work = [self._others.popleft() for _ in range(min(most, len(self._others)))]
        self._flows -= Counter(piece.notification.source for piece in work)
        return work
