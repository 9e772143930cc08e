"""The embedded store: all contracts on one SQLite file."""

import time
from collections.abc import Callable
from pathlib import Path

from hub.store.clock import StoreClock
from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from hub.store.sqlite.volume import StoreSpace, space_of
from hub.store.store import SqlStore


class SqliteStore(SqlStore):
    """`wall` and `monotonic` read the host's clocks, in seconds; the rest is as `SqliteDatabase` says."""

    def __init__(
        self,
        path: Path,
        *,
        window: SeenWindow = SeenWindow(),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        on_broken: Callable[[str], None] = lambda reason: None,
        allow_ephemeral: bool = False,
        must_last: bool = False,
        tuning: SqliteTuning = SqliteTuning(),
    ) -> None:
        self._path = path
        self._sqlite = SqliteDatabase(
            path,
            observe=observe,
            on_broken=on_broken,
            allow_ephemeral=allow_ephemeral,
            must_last=must_last,
            tuning=tuning,
        )
        super().__init__(
            self._sqlite,
            window=window,
            clock=StoreClock(wall=wall, monotonic=monotonic),
            monotonic=monotonic,
        )

    async def back_up(self, target: Path) -> int:
        """Copy the state of now to a new file, while writers go on; its size in bytes. Raises: StoreError."""
        return await self._sqlite.back_up(target)

    def space(self) -> StoreSpace:
        """What the files take now, and what is free beside them; a call may wait for the disk. Raises: OSError."""
        return space_of(self._path)
