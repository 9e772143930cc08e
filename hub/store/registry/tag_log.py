"""When the log of tags is folded into the index: a part at a time, so that no write waits long."""

from collections import defaultdict
from contextlib import suppress
from functools import partial

from hub.errors import StoreError
from hub.store.connection import Database
from hub.store.decide.tag_log import PARTS
from hub.store.registry.places import Place
from hub.store.registry.tags import IndexShape, LogSize, fold_log, log_parts


class TagLog:
    """What this process has written to the log of each shard and not folded since. Belongs to the event loop.

    The rest, as that of a process before, is folded by the housekeeping.
    """

    def __init__(self, database: Database, shape: IndexShape) -> None:
        self._database = database
        self._shape = shape
        self._sizes: dict[Place, LogSize] = defaultdict(lambda: LogSize(0, 0))
        self._next: dict[Place, int] = defaultdict(int)

    async def grew(self, place: Place, by: LogSize) -> None:
        """Fold as many parts, in turn, as keep the log in bounds; what fails is tried again by the next write."""
        rows, entries = self._sizes[place]
        self._sizes[place] = LogSize(rows + by.rows, entries + by.entries)
        with suppress(StoreError):  # what was written is written
            await self._bound(place)

    async def _bound(self, place: Place) -> None:
        for _ in PARTS:
            rows, entries = self._sizes[place]
            if rows < self._shape.log_rows and entries < self._shape.log_entries:
                return
            number = self._next[place]
            self._next[place] = (number + 1) % len(PARTS)
            folded = await self._database.write(partial(fold_log, place=place, part=number))
            rows, entries = self._sizes[place]
            self._sizes[place] = LogSize(max(0, rows - folded.rows), max(0, entries - folded.entries))
        self._sizes[place] = LogSize(0, 0)  # another process has folded what is missing

    async def fold(self, place: Place) -> bool:
        """All of it; whether there was any. Raises: StoreError."""
        parts = await self._database.read(partial(log_parts, place=place))
        for part in parts:
            await self._database.write(partial(fold_log, place=place, part=part))
        self._sizes.pop(place, None)
        return bool(parts)
