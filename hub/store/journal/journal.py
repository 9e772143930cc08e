"""The contract `Journal` over a database."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from hub.store.clock import StoreClock
from hub.store.connection import Database
from hub.store.contracts.journal import JournalUsage, KeptEvent
from hub.store.contracts.listing import ListPage
from hub.store.journal import bounding, reading
from hub.store.outbox.queues import QueuesOf


@dataclass(slots=True)
class _Look:
    """One pass over the sizes of all rows of our queues, a slice at a time: a sum that acceptance does not have to keep.

    `queues` are those to look at, the first behind its row `after`.
    """

    queues: list[int]
    after: int = 0
    rows: int = 0
    bytes: int = 0
    excess: int | None = None


class SqlJournal:
    """`hub.store.contracts.journal.Journal`."""

    def __init__(self, database: Database, clock: StoreClock, queues: QueuesOf) -> None:
        self._database = database
        self._clock = clock
        self._queues = queues
        self._look: _Look | None = None
        self._forgotten: dict[int, int] = {}
        self._usage: JournalUsage | None = None

    async def journaled(self, event_id: str, *, source: str = "", limit: int) -> Sequence[KeptEvent]:
        return await self._database.read(
            lambda connection: reading.by_event(connection, event_id, source=source, limit=limit)
        )

    async def journal(
        self, *, source: str = "", outcome: str = "", until: float | None = None, after: str = "", limit: int
    ) -> ListPage[KeptEvent]:
        return await self._database.read(
            lambda connection: reading.events(
                connection,
                self._queues.all_queues,
                source=source,
                outcome=outcome,
                until=until,
                after=after,
                limit=limit,
            )
        )

    async def bound_journal(self, *, events_kept: float, content_kept: float, max_bytes: int) -> bool:
        """Of the bytes this process has the part that its queues are of all."""
        now, own = self._clock.now(), self._queues.own_queues
        if await self._forget_content(own, before=now - content_kept):
            return True
        if await self._database.write(lambda connection: bounding.drop_old(connection, own, before=now - events_kept)):
            return True
        look = self._look
        if look is None:
            look = self._look = _Look(list(own))
        if look.excess is None:
            if look.queues:
                await self._size(look)
                return True
            look.excess = look.bytes - max_bytes * len(own) // max(1, len(self._queues.all_queues))
        if look.excess > 0:
            excess = look.excess
            rows, dropped = await self._database.write(lambda connection: bounding.drop_oldest(connection, own, excess))
            look.excess -= dropped
            look.rows, look.bytes = look.rows - rows, look.bytes - dropped
            if dropped:
                return True
        self._usage, self._look = JournalUsage(events=look.rows, bytes=look.bytes), None
        return False

    async def _forget_content(self, own: Sequence[int], *, before: float) -> bool:
        """Whether there was any to forget."""
        after = {queue: self._forgotten.get(queue, 0) for queue in own}
        forgotten = await self._database.write(
            lambda connection: bounding.forget_content(connection, after, before=before)
        )
        self._forgotten = after | forgotten
        return bool(forgotten)

    async def _size(self, look: _Look) -> None:
        queue = look.queues[0]
        rows, bytes_, last = await self._database.read(partial(bounding.size, queue=queue, after=look.after))
        if not rows:
            look.queues.pop(0)
        look.after, look.rows, look.bytes = last, look.rows + rows, look.bytes + bytes_

    async def journal_usage(self) -> JournalUsage:
        """Of the queues of this process: of the events that it bounds."""
        if self._usage is None:
            look = _Look(list(self._queues.own_queues))
            while look.queues:
                await self._size(look)
            self._usage = JournalUsage(events=look.rows, bytes=look.bytes)
        return self._usage
