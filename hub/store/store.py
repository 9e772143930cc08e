"""A store: one database behind the contracts. Each method is a room's; here is only who answers what."""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from hub.acceptance import Ingest
from hub.errors import StoreError
from hub.outcome import NotificationDetails, State
from hub.store.clock import StoreClock
from hub.store.connection import Database
from hub.store.contracts.listing import ListPage
from hub.store.contracts.outbox import (
    AcceptanceResult,
    Audience,
    PageResult,
    QueueState,
    Recorded,
    Service,
    Work,
)
from hub.store.contracts.telemetry import KeptAudit, KeptNotification
from hub.store.outbox.outbox import SqlOutbox
from hub.store.outbox.recording import MarkDead
from hub.store.outbox.remembering import SeenWindow
from hub.store.telemetry.telemetry import SqlTelemetry
from hub.work import Lane

_TICK = 1.0
"""Seconds between two turns of `tend`."""


class StoreDatabase(Database, Protocol):
    """A database that a store opens and closes."""

    async def open(self) -> None:
        """Raises: StoreError."""

    async def close(self) -> None: ...


class SqlStore:
    """`hub.store.contracts.store.Store` on a database; `clock` is the host's, `monotonic` in seconds.

    `mark_dead` is the registry's: it writes within the transaction of a record.
    """

    def __init__(
        self,
        database: StoreDatabase,
        *,
        mark_dead: MarkDead,
        window: SeenWindow = SeenWindow(),
        clock: StoreClock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = StoreClock() if clock is None else clock
        self._outbox = SqlOutbox(
            database,
            self._clock,
            owner=secrets.token_hex(8),
            mark_dead=mark_dead,
            window=window,
            monotonic=monotonic,
        )
        self._telemetry = SqlTelemetry(database, self._clock, is_in_hand=self._outbox.is_in_hand)

    async def open(self) -> int:
        await self._database.open()
        return await self._outbox.open()

    async def tend(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self.tick()
            except StoreError:
                continue  # the next turn does it; what fails for long is seen by the calls of others

    async def tick(self) -> None:
        """One turn of `tend`. Raises: StoreError."""
        await self._outbox.tend()

    async def probe(self) -> None:
        await self._database.probe()

    async def close(self) -> None:
        try:
            await self._outbox.close()
        except StoreError:
            pass  # only the last beat is missing
        finally:
            await self._database.close()

    # Outbox

    def now(self) -> float:
        return self._clock.now()

    async def accept(self, batch: Sequence[Ingest], *, start: int) -> AcceptanceResult:
        return await self._outbox.accept(batch, start=start)

    async def take(self, lane: Lane, wanted: Mapping[Service | None, int]) -> Sequence[Work]:
        return await self._outbox.take(lane, wanted)

    async def take_orphans(self, served: Collection[Service], limit: int, *, waited: float) -> Sequence[Work]:
        return await self._outbox.take_orphans(served, limit, waited=waited)

    async def give_back(self, work: Sequence[Work]) -> None:
        await self._outbox.give_back(work)

    async def postpone(self, work: Sequence[Work], *, delay: float, service: Service | None = None) -> None:
        await self._outbox.postpone(work, delay=delay, service=service)

    async def expand(self, work: Work, audience: Audience) -> None:
        await self._outbox.expand(work, audience)

    async def record(self, results: Sequence[PageResult]) -> Recorded:
        return await self._outbox.record(results)

    async def sum_up(self) -> Recorded:
        return await self._outbox.sum_up()

    async def backlog(self) -> Mapping[Service | None, int]:
        return await self._outbox.backlog()

    async def queue_states(self) -> Mapping[Lane, QueueState]:
        return await self._outbox.queue_states()

    # Telemetry

    async def details(self, hub: str, notification_id: str) -> NotificationDetails:
        return await self._telemetry.details(hub, notification_id)

    async def notifications(
        self,
        *,
        hub: str | None = None,
        state: State | None = None,
        event_id: str | None = None,
        after: str = "",
        limit: int,
    ) -> ListPage[KeptNotification]:
        return await self._telemetry.notifications(hub=hub, state=state, event_id=event_id, after=after, limit=limit)

    async def notification(self, notification_id: str) -> KeptNotification:
        return await self._telemetry.notification(notification_id)

    async def audit(self, *, after: str = "", limit: int) -> ListPage[KeptAudit]:
        return await self._telemetry.audit(after=after, limit=limit)

    async def forget_ended(self, *, kept: float) -> bool:
        return await self._telemetry.forget_ended(kept=kept)
