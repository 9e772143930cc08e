"""What the behaviour of stores is tested with: a database to open stores on, and a clock to move."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import pytest

import hub.platforms.table  # noqa: F401 - declares the platforms
from hub.notification import Notification, Platform
from hub.outcome import OutcomeName
from hub.store.connection import Row, Statement
from hub.store.contracts.outbox import PageResult, Service, Work
from hub.store.outbox.remembering import SeenWindow
from hub.store.store import SqlStore
from hub.store.telemetry.listing import SCANNED
from hub.work import Lane
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB, arrivals

WHOLE = 10**4
"""A limit that is none."""


class Stores(Protocol):
    """One database. All handles on it are closed when the test ends."""

    clock: HostClock
    due: int
    """How much work was due when a store was opened last."""

    @property
    def trips(self) -> int:
        """Round trips to the database until now."""

    async def open(self, *, window: SeenWindow = SeenWindow(), scanned: int = SCANNED) -> SqlStore:
        """A handle that owns the queues."""

    async def take_over(self, *, window: SeenWindow = SeenWindow()) -> SqlStore:
        """A second handle, which takes the queues of the first, while the first goes on as if it had them."""

    async def crash(self) -> None:
        """All handles are gone, as with a killed process."""

    async def read(self, statement: Statement, **values: Any) -> list[Row]:
        """What the database has."""


class Suite:
    """Gives the tests of one subject a store and its clock."""

    @pytest.fixture
    async def store(self, stores: Stores) -> SqlStore:
        return await stores.open()

    @pytest.fixture
    def clock(self, stores: Stores) -> HostClock:
        return stores.clock


async def begin(store: SqlStore, *notifications: Notification) -> Sequence[Work]:
    """Have these accepted and started in one go."""
    return (await store.accept(arrivals(notifications), start=WHOLE)).work


async def enqueue(store: SqlStore, *notifications: Notification) -> None:
    """Have these accepted and left waiting."""
    await store.accept(arrivals(notifications), start=0)


def everything(hub: str = HUB, limit: int = WHOLE) -> dict[Service | None, int]:
    """All services of a hub, and what has no service yet."""
    return {None: limit} | {(hub, platform): limit for platform in Platform.declared()}


async def take(store: SqlStore, limit: int = WHOLE) -> Sequence[Work]:
    """What is due of the single lane."""
    return await store.take(Lane.SINGLE, everything(limit=limit))


async def take_pages(store: SqlStore, *platforms: Platform, limit: int = WHOLE, hub: str = HUB) -> Sequence[Work]:
    """What is due of the broadcast lane, of all platforms unless said."""
    return await store.take(Lane.BROADCAST, {(hub, platform): limit for platform in platforms or Platform.declared()})


def went_well(work: Work, count: int = 1, platform: Platform = Platform.FCM) -> PageResult:
    """All pushes of a piece of work succeeded."""
    return PageResult(
        work=work, counts={platform: {OutcomeName.SUCCESS: count}} if count else {}, done_before=work.done
    )


def ids(work: Iterable[Work]) -> list[str]:
    """Which notifications these pieces of work are, or belong to."""
    return [piece.notification.id for piece in work]
