"""A store whose hub is written through to another one, with a clock that a test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.store.clock import StoreClock
from hub.store.sqlite.database import SqliteDatabase
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB


@asynccontextmanager
async def mirrored_store(directory: Path, clock: HostClock) -> AsyncIterator[SqlStore]:
    store = SqlStore(
        SqliteDatabase(directory / "x.db", allow_ephemeral=True),
        clock=StoreClock(wall=clock, monotonic=clock.monotonic),
        monotonic=clock.monotonic,
    )
    await store.open()
    store.write_through([HUB])
    yield store
    await store.close()
