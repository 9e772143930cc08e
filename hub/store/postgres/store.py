"""The store of all contracts on one PostgreSQL database."""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from hub.errors import InvalidRequestError
from hub.store.clock import ReferenceClock, StoreClock
from hub.store.decide.ownership import TIMING, OwnershipTiming
from hub.store.outbox.ownership import Sharing
from hub.store.outbox.remembering import SeenWindow
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from hub.store.postgres.planning import RegistryPlanning
from hub.store.store import SqlStore

_BACKUP = "a PostgreSQL store is backed up by PostgreSQL's own tools, such as pg_dump: see docs/store.md"


class PostgresStore(SqlStore):
    """Shared with other processes. `wall` and `monotonic` read the host's clocks, in seconds; for the time of day the
    database is asked. The rest is as `PostgresDatabase` says."""

    def __init__(
        self,
        address: PostgresAddress,
        *,
        window: SeenWindow = SeenWindow(),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        timing: OwnershipTiming = TIMING,
    ) -> None:
        database = PostgresDatabase(address, observe=observe)
        self._planning = RegistryPlanning(database, address, monotonic)
        reference = ReferenceClock(wall=wall, monotonic=monotonic)
        super().__init__(
            database,
            window=window,
            clock=StoreClock(wall=reference, monotonic=monotonic),
            monotonic=monotonic,
            owner=address.name,
            sharing=Sharing(
                session=database.ownership, reference=reference, timing=timing, version=version("pushbridge")
            ),
        )

    async def tick(self) -> None:
        await super().tick()
        await self._planning.tend()

    async def back_up(self, target: Path) -> int:
        """Raises: InvalidRequestError: always, and it says what to use instead."""
        raise InvalidRequestError(_BACKUP)

    def space(self) -> None:
        """The files are another machine's."""
