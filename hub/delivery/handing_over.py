"""Notifications that a remote hub has before their event is settled: the broker is their store, and this process has none.

What is in the database of a sidecar is lost with its disk. A hub with `durability: remote` is therefore asked first, and
asked again as long as the message is still ours; the message is settled after the answer. A message that comes again
hands the same notification over under the same id, which a central pushbridge takes once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hub.acceptance import Reason, Refusal
from hub.delivery.forwarding import RemoteDelivery
from hub.errors import WithdrawnError
from hub.facts import NotificationsEnded
from hub.notification import Notification
from hub.observer import Observer
from hub.outcome import State
from hub.store.contracts.outbox import Work

_LOOK_EVERY = 0.5
"""Seconds after which it is seen that a message is not ours any more, while its hub is away."""

REMEMBERED = 100_000
"""Ids of notifications that a hub took: a message that comes again is not sent again while this process lives."""


class HandingOver:
    """Hands over at once, and tells what was refused for good."""

    def __init__(
        self,
        delivery: RemoteDelivery,
        *,
        observer: Observer,
        store_clock: Callable[[], float],
        remembered: int = REMEMBERED,
    ) -> None:
        self._delivery = delivery
        self._observer = observer
        self._store_clock = store_clock
        self._remembered = remembered
        self._taken: dict[str, None] = {}

    async def hand_over(
        self, notifications: Sequence[Notification], *, withdrawn: Callable[[], bool]
    ) -> Mapping[str, Refusal]:
        """Returns when the hubs have answered for all: why those were refused that will never be taken, by id.

        Raises: WithdrawnError, when `withdrawn` came true while a hub was away. What it took by then it took.
        """
        new = [each for each in notifications if each.id not in self._taken]
        accepted_at = self._store_clock()
        waiting = [Work(queue=0, notification=each, accepted_at=accepted_at) for each in new]
        refused: dict[str, Refusal] = {}
        while waiting:
            delay, waiting = await self._try(waiting, refused)
            await self._pause(delay if waiting else 0.0, withdrawn)
        return refused

    async def _try(self, pieces: Sequence[Work], refused: dict[str, Refusal]) -> tuple[float, list[Work]]:
        """Ask each hub once; the shortest delay until one is to be asked again, and for what."""
        hubs: dict[str, list[Work]] = {}
        for piece in pieces:
            hubs.setdefault(piece.notification.hub, []).append(piece)
        results = await asyncio.gather(*(self._delivery.hand_over(of_hub) for of_hub in hubs.values()))
        again: list[tuple[float, Work]] = []
        taken = Counter[tuple[str, State]]()
        for result in results:
            for ended in result.ended:
                notification, letter = ended.work.notification, ended.dead_letter
                if letter is None:
                    self._remember(notification.id)
                    taken[notification.hub, State.COMPLETED] += 1
                else:
                    refused[notification.id] = Refusal(reason=Reason(letter.reason), detail=letter.detail)
            again += [(delay, piece) for delay, pieces in result.again.items() for piece in pieces]
        if taken:
            self._observer.observe(NotificationsEnded(counts=taken))
        for _, piece in again:
            piece.was_deferred = True
        return min((delay for delay, _ in again), default=0.0), [piece for _, piece in again]

    async def _pause(self, seconds: float, withdrawn: Callable[[], bool]) -> None:
        """Raises: WithdrawnError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if withdrawn():
                raise WithdrawnError("withdrawn while the remote hub was away")
            await asyncio.sleep(min(left, _LOOK_EVERY))

    def _remember(self, id: str) -> None:
        self._taken[id] = None
        while len(self._taken) > self._remembered:
            del self._taken[next(iter(self._taken))]
