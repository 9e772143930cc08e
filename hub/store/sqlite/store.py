"""The embedded store: all contracts on one SQLite file."""

import time
from collections.abc import Callable
from pathlib import Path

from hub.store.clock import StoreClock
from hub.store.outbox.remembering import SeenWindow
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from hub.store.store import SqlStore


class SqliteStore(SqlStore):
    """`wall` and `monotonic` read the host's clocks, in seconds; `hub.store.sqlite.database.SqliteDatabase` has the rest."""

    def __init__(
        self,
        path: Path,
        *,
        window: SeenWindow = SeenWindow(),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        on_broken: Callable[[str], None] = lambda reason: None,
        allow_memory: bool = False,
        tuning: SqliteTuning = SqliteTuning(),
    ) -> None:
        super().__init__(
            SqliteDatabase(
                path, observe=observe, on_broken=on_broken, allow_memory=allow_memory, tuning=tuning
            ),
            window=window,
            clock=StoreClock(wall=wall, monotonic=monotonic),
            monotonic=monotonic,
        )
