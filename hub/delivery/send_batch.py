"""What goes to a push service in one call, and whom its verdict is about."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.delivery.bulkhead import Bulkhead
from hub.delivery.pending import PendingPage, Piece
from hub.notification import Platform
from hub.push import PageVerdict, PushPage, SendResult
from hub.store.contracts.outbox import Work
from hub.target import Target


@dataclass(slots=True)
class SendBatch:
    """A page of pushes that one bulkhead takes, and the notifications or pages of work that it was made of.

    `owners` cover the positions from the front, each with whom its pushes are for. With `piece` the pushes are neighbours
    of one large page; `closes` says that no more of it follow. A page of single pushes has `singles` in place of owners,
    with whom each is for, and was planned at `started_at`, the store's time.
    """

    bulkhead: Bulkhead[PushPage]
    hub: str
    platform: Platform
    page: PushPage = field(default_factory=PushPage)
    owners: list[tuple[PendingPage, Sequence[Target]]] = field(default_factory=list)
    piece: Piece | None = None
    closes: bool = True
    singles: Sequence[tuple[Work, Target]] = ()
    started_at: float = 0.0

    @property
    def size(self) -> int:
        """Notifications that have a place in the bulkhead until this is answered."""
        return (len(self.owners) or len(self.singles)) if self.closes else 0

    def results(self, verdict: PageVerdict) -> list[tuple[PendingPage, int, list[tuple[Target, SendResult]]]]:
        """The verdict for each owner: how many of its pushes were delivered, and what was said of the others."""
        exceptions = iter(verdict.exceptions.items())
        position, result = next(exceptions, (math.inf, None))
        first = 0
        shares = []
        for pending, targets in self.owners:
            behind = first + len(targets)
            others: list[tuple[Target, SendResult]] = []
            while position < behind and result is not None:
                others.append((targets[int(position) - first], result))
                position, result = next(exceptions, (math.inf, None))
            shares.append((pending, len(targets) - len(others), others))
            first = behind
        return shares
