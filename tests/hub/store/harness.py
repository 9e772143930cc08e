"""What the behaviour of stores is tested with: a database to open stores on, and a clock to move."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import pytest
from hub.store.base import PageResult, Store, Work
from hub.store.seen import SeenWindow

from hub.notification import Notification, Platform
from hub.outcome import OutcomeName
from hub.work import Lane
from tests.fakes.clock import FakeClock
from tests.hub.examples import arrivals

LEASE = 60.0  # seconds
WHOLE = 10**6
"""A limit that is none."""


class Stores(Protocol):
    """One database; stores opened on it are closed when the test ends."""

    clock: FakeClock
    expired: list[tuple[Lane, int]]

    async def open(self, *, window: SeenWindow = SeenWindow()) -> Store: ...


class Suite:
    """Gives the tests of one subject a store and its clock."""

    @pytest.fixture
    async def store(self, stores: Stores) -> Store:
        return await stores.open()

    @pytest.fixture
    def clock(self, stores: Stores) -> FakeClock:
        return stores.clock


async def take(store: Store, clock: FakeClock, *notifications: Notification) -> Sequence[Work]:
    """Have these accepted and leased in one go."""
    result = await store.accept(arrivals(notifications), lease=WHOLE, until=clock() + LEASE)
    return result.work


async def enqueue(store: Store, clock: FakeClock, *notifications: Notification) -> None:
    """Have these accepted and left waiting."""
    await store.accept(arrivals(notifications), lease=0, until=clock() + LEASE)


async def lease(store: Store, clock: FakeClock, limit: int = WHOLE) -> Sequence[Work]:
    """What is due of the single lane."""
    return await store.lease(limit, until=clock() + LEASE)


async def lease_pages(
    store: Store, clock: FakeClock, hub: str, *platforms: Platform, limit: int = WHOLE
) -> Sequence[Work]:
    """What is due of the broadcast lane, on all platforms unless said."""
    wanted = {(hub, platform): limit for platform in platforms or Platform.declared()}
    return await store.lease_pages(wanted, until=clock() + LEASE)


def went_well(work: Work, count: int = 1, platform: Platform = Platform.FCM) -> PageResult:
    """All pushes of a piece of work succeeded."""
    return PageResult(work=work, counts={platform: {OutcomeName.SUCCESS: count}} if count else {})


def ids(work: Iterable[Work]) -> list[str]:
    """Which notifications these pieces of work are, or belong to."""
    return [piece.notification.id for piece in work]
