"""Due work taken in hand: read from the queues that this process owns, and nothing written."""

import time
from collections.abc import Callable, Mapping, Sequence

from hub.store.connection import Connection, Database
from hub.store.contracts.outbox import Service, Work
from hub.store.outbox import taking
from hub.store.outbox.in_hand import Look, Place
from hub.store.outbox.open_work import OpenWork
from hub.store.outbox.parts.releaser import Releaser
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.rows import LANES, service_key
from hub.work import Lane

_MOMENT = 0.1
"""Seconds for which a look that found nothing due is true: less than the time between two looks."""


class Taker:
    """`releaser` lets go on what has waited for its time, before each look in the lane of the singles."""

    def __init__(
        self,
        database: Database,
        queues: SqlQueues,
        work: OpenWork,
        releaser: Releaser,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queues = queues
        self._own = queues.own
        self._work = work
        self._releaser = releaser
        self._monotonic = monotonic
        self._none_due: set[Lane] = set()
        """Lanes for which the last look, which found nothing due, is still to be used."""
        self._looked_at = 0.0

    async def take(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        async with self._work.taking:
            if lane is Lane.SINGLE:
                await self._releaser.release()
            by_key = {service_key(service): count for service, count in wanted.items() if count > 0}
            may_take = by_key and self._own.taken_from and self._queues.may_start()
            if not may_take or await self._has_none_due(lane):
                return []
            places = [Place(queue, LANES[lane], key) for queue in self._own.taken_from for key in by_key]
            look = self._work.hand.look(places, by_key)
            return await self.read(look, lambda connection: taking.take(connection, look, now=self._queues.now()))

    async def read(self, look: Look, read: Callable[[Connection], taking.Taken]) -> list[Work]:
        """Read, and hold what is free still; for who holds `OpenWork.taking`. Raises: StoreError."""
        hand, fences = self._work.hand, dict(self._own.fences)
        try:
            chosen, pieces = await self._database.read(read)
        except BaseException:
            hand.fail()
            raise
        free = {(candidate.place.queue, candidate.n) for candidate in hand.end(look, chosen)}
        for key in [key for key in free if self._own.fences.get(key[0]) != fences.get(key[0])]:
            hand.leave(key)  # its queue was lost while it was read
            free.discard(key)
        work = [piece for piece in pieces if (piece.queue, piece.n) in free]
        for piece in work:
            self._work.pieces[piece.queue, piece.n] = piece
        return work

    async def _has_none_due(self, lane: Lane) -> bool:
        """Whether nothing is due in any lane, where nothing waits that this process knows of: then only other processes may
        have put something into its queues. What one lane has found just now is true for the other, once."""
        tally = self._work.tally
        if self._queues.ownership is None or any(tally.waits_at_all(lane) for lane in LANES.values()):
            return False
        began = self._monotonic()
        if lane in self._none_due and began - self._looked_at < _MOMENT:
            self._none_due.remove(lane)
            return True
        self._none_due.clear()
        mine = self._own.taken_from
        if await self._database.look(lambda connection: taking.is_any_due(connection, mine, now=self._queues.now())):
            return False
        self._looked_at, self._none_due = began, set(Lane) - {lane}
        return True
