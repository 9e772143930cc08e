"""What is in hand from its acceptance on, until a batch of it begins."""

from collections import OrderedDict, deque
from collections.abc import Sequence

from hub.precedence import Precedence
from hub.store.contracts.outbox import Work

_API = ""
"""The source of what is sent through the API."""


class SubmittedWork:
    """Work that waits to begin: that of light flows first, then the others by turns, and each flow in its order."""

    def __init__(self, precedence: Precedence) -> None:
        self._precedence = precedence
        self._light: deque[Work] = deque()
        self._others: OrderedDict[str, deque[Work]] = OrderedDict()  # by flow, in the order of their turns

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
            if flow in self._others or not self._precedence.is_light(flow):
                self._others.setdefault(flow, deque()).append(piece)
            else:
                self._light.append(piece)

    def take(self, most: int) -> Sequence[Work]:
        """The next batch, in which each flow has an equal share; what one does not use is for the others.

        What is light is not taken together with other work, and so does not wait for it.
        """
        if self._light:
            return [self._light.popleft() for _ in range(min(most, len(self._light)))]
        work: list[Work] = []
        while self._others and len(work) < most:
            share = max(1, (most - len(work)) // len(self._others))
            for flow in list(self._others)[: most - len(work)]:
                waiting = self._others[flow]
                work += [waiting.popleft() for _ in range(min(share, len(waiting)))]
                self._others.move_to_end(flow)
                if not waiting:
                    del self._others[flow]
        return work
