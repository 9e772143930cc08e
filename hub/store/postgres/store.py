"""The store of all contracts on one PostgreSQL database."""

import time
from collections.abc import Callable
from pathlib import Path

from hub.errors import InvalidRequestError
from hub.store.clock import StoreClock
from hub.store.outbox.remembering import SeenWindow
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from hub.store.store import SqlStore

_BACKUP = "a PostgreSQL store is backed up by PostgreSQL's own tools, such as pg_dump: see docs/store.md"


class PostgresStore(SqlStore):
    """`wall` and `monotonic` read the host's clocks, in seconds; the rest is as `PostgresDatabase` says."""

    def __init__(
        self,
        address: PostgresAddress,
        *,
        window: SeenWindow = SeenWindow(),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        on_broken: Callable[[str], None] = lambda reason: None,
    ) -> None:
        super().__init__(
            PostgresDatabase(address, observe=observe, on_broken=on_broken),
            window=window,
            clock=StoreClock(wall=wall, monotonic=monotonic),
            monotonic=monotonic,
        )

    async def back_up(self, target: Path) -> int:
        """Raises: InvalidRequestError: always, and it says what to use instead."""
        raise InvalidRequestError(_BACKUP)

    def space(self) -> None:
        """The files are another machine's."""
