"""The contract `Journal` over a database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from hub.store.clock import StoreClock
from hub.store.connection import Connection, Database
from hub.store.contracts.journal import JournalUsage, KeptEvent
from hub.store.contracts.listing import ListPage
from hub.store.journal import bounding, reading

QUEUE = 0
"""SQLite has one."""


@dataclass(slots=True)
class _Look:
    """One pass over the sizes of all rows, a slice at a time: a sum that acceptance does not have to keep."""

    after: int = 0
    rows: int = 0
    bytes: int = 0
    forgotten: int = 0
    """Values of rows up to this number are gone."""
    excess: int | None = field(default=None)


class SqlJournal:
    """`hub.store.contracts.journal.Journal`."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self._database = database
        self._clock = clock
        self._look = _Look()
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
                connection, QUEUE, source=source, outcome=outcome, until=until, after=after, limit=limit
            )
        )

    async def bound_journal(self, *, events_kept: float, content_kept: float, max_bytes: int) -> bool:
        now, look = self._clock.now(), self._look
        forgotten = await self._database.write(
            lambda connection: bounding.forget_content(
                connection, QUEUE, after=look.forgotten, before=now - content_kept
            )
        )
        if forgotten:
            look.forgotten = forgotten
            return True
        if await self._database.write(
            lambda connection: bounding.drop_old(connection, QUEUE, before=now - events_kept)
        ):
            return True
        if look.excess is None:
            rows, bytes_, last = await self._database.read(partial(_sizes, after=look.after))
            look.after, look.rows, look.bytes = last or look.after, look.rows + rows, look.bytes + bytes_
            if rows:
                return True
            look.excess = look.bytes - max_bytes
        if look.excess > 0:
            excess = look.excess
            rows, dropped = await self._database.write(
                lambda connection: bounding.drop_oldest(connection, QUEUE, excess)
            )
            look.excess -= dropped
            look.rows, look.bytes = look.rows - rows, look.bytes - dropped
            if dropped:
                return True
        self._usage = JournalUsage(events=look.rows, bytes=look.bytes)
        self._look = _Look(forgotten=look.forgotten)
        return False

    async def journal_usage(self) -> JournalUsage:
        if self._usage is None:
            after = events = size = 0
            while True:
                rows, bytes_, last = await self._database.read(partial(_sizes, after=after))
                if not rows:
                    break
                after, events, size = last, events + rows, size + bytes_
            self._usage = JournalUsage(events=events, bytes=size)
        return self._usage


def _sizes(connection: Connection, after: int) -> tuple[int, int, int]:
    return bounding.size(connection, QUEUE, after)
