"""Notifications that a remote hub has before their event is settled: the broker is their store, and this process has none.

What is in the database of a sidecar is lost with its disk. A hub with `durability: remote` is therefore asked first, and
asked again as long as the message is still ours; the message is settled after the answer. A message that comes again
hands the same notification over under the same id, which a central pushbridge takes once. Any other hub may have taken
what it did not answer, so the waits between tries go on where they were when the message comes again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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
"""Ids of notifications that a hub took, and as many that it left open: for messages that come again while this process
lives."""


class _Open(NamedTuple):
    """A notification that a hub was asked to take and has neither taken nor refused."""

    tries: int
    due_at: float
    """When it may be tried again, by the clock of `HandingOver`."""


class HandingOver:
    """Hands over at once, and tells what was refused for good."""

    def __init__(
        self,
        delivery: RemoteDelivery,
        *,
        observer: Observer,
        store_clock: Callable[[], float],
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delivery = delivery
        self._observer = observer
        self._store_clock = store_clock
        self._remembered = remembered
        self._clock = clock
        self._taken: dict[str, None] = {}
        self._open: dict[str, _Open] = {}

    async def hand_over(
        self, notifications: Sequence[Notification], *, withdrawn: Callable[[], bool]
    ) -> Mapping[str, Refusal]:
        """Returns when the hubs have answered for all: why those were refused that will never be taken, by id.

        Raises: WithdrawnError, when `withdrawn` came true while a hub was away. What it took by then it took.
        """
        accepted_at = self._store_clock()
        waiting = [
            Work(queue=0, notification=each, accepted_at=accepted_at, attempt=self._open_of(each.id).tries)
            for each in notifications
            if each.id not in self._taken
        ]
        refused: dict[str, Refusal] = {}
        while waiting:
            now = self._clock()
            due = [piece for piece in waiting if self._due_at(piece) <= now]
            if due:
                later = [piece for piece in waiting if self._due_at(piece) > now]
                waiting = later + await self._try(due, refused)
            if waiting:
                await self._pause(min(map(self._due_at, waiting)) - self._clock(), withdrawn)
        return refused

    def _open_of(self, id: str) -> _Open:
        return self._open.get(id, _Open(tries=0, due_at=0.0))

    def _due_at(self, piece: Work) -> float:
        return self._open_of(piece.notification.id).due_at

    async def _try(self, pieces: Sequence[Work], refused: dict[str, Refusal]) -> list[Work]:
        """Ask each hub once; what is to be asked again, when its time has come."""
        hubs: dict[str, list[Work]] = {}
        for piece in pieces:
            hubs.setdefault(piece.notification.hub, []).append(piece)
        results = await asyncio.gather(*(self._delivery.hand_over(of_hub) for of_hub in hubs.values()))
        again: list[Work] = []
        taken = Counter[tuple[str, State]]()
        for result in results:
            for ended in result.ended:
                notification, letter = ended.work.notification, ended.dead_letter
                self._open.pop(notification.id, None)
                if letter is None:
                    self._taken[notification.id] = None
                    self._forget_oldest(self._taken)
                    taken[notification.hub, State.COMPLETED] += 1
                else:
                    refused[notification.id] = Refusal(reason=Reason(letter.reason), detail=letter.detail)
            for delay, postponed in result.again.items():
                again += postponed
                self._leave_open(postponed, self._clock() + delay)
        if taken:
            self._observer.observe(NotificationsEnded(counts=taken))
        return again

    async def _pause(self, seconds: float, withdrawn: Callable[[], bool]) -> None:
        """Raises: WithdrawnError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if withdrawn():
                raise WithdrawnError("withdrawn while the remote hub was away")
            await asyncio.sleep(min(left, _LOOK_EVERY))

    def _leave_open(self, pieces: Sequence[Work], due_at: float) -> None:
        for piece in pieces:
            piece.was_deferred = True
            self._open[piece.notification.id] = _Open(tries=piece.attempt, due_at=due_at)
        self._forget_oldest(self._open)

    def _forget_oldest(self, ids: dict[str, Any]) -> None:
        while len(ids) > self._remembered:
            del ids[next(iter(ids))]
