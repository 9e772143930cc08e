"""What nothing needs any more, forgotten a slice at a time: marks of events, states of flow control, texts held here."""

import time
from collections.abc import Callable
from functools import partial

from hub.store.connection import Database
from hub.store.outbox import flow_sweep
from hub.store.outbox.interval import Interval
from hub.store.outbox.remembering import SeenSweep
from hub.store.outbox.sql_queues import SqlQueues
from hub.store.outbox.texts import forget_texts, has_unused

_RANGES_BEHIND = 16
"""Ranges of marks that are swept in a second when there are more than the bound."""


class Sweeper:
    """`seen` is where the sweep over the marks is. All times here are without the shift of the store's clock."""

    def __init__(
        self,
        database: Database,
        queues: SqlQueues,
        seen: SeenSweep,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queues = queues
        self._seen = seen
        self._flow = Interval(flow_sweep.EVERY, monotonic=monotonic)
        self._flow_bound = Interval(flow_sweep.BOUND_EVERY, monotonic=monotonic)

    async def sweep(self) -> None:
        """What is to be done each second. Raises: StoreError."""
        if self._flow.has_passed():
            await self._forget_flow()
        if self._queues.leads:
            for _ in range(_RANGES_BEHIND if self._seen.is_behind else 1):
                await self._forget_marks()

    async def _forget_marks(self) -> None:
        """Forget old marks of one range of keys."""
        ages = await self._database.look(self._seen.ages)
        if self._seen.has_old(ages, self._queues.steady()):
            await self._queues.write(lambda connection: self._seen.forget(connection, self._queues.steady()))
        self._seen.passed(ages)

    async def _forget_flow(self) -> None:
        """Forget states of flow control that say nothing any more, and those beyond the bound."""
        now, mine, of_all = self._queues.steady(), self._queues.own_queues, len(self._queues.all_queues)
        past = dict.fromkeys(
            await self._database.look(lambda connection: flow_sweep.past(connection, mine, before=now)), now
        )
        if self._flow_bound.has_passed():
            for queue in mine:
                beyond = await self._database.read(partial(flow_sweep.bound, queue=queue, queues=of_all))
                if beyond is not None:
                    past[queue] = max(beyond, now)
        for queue, before in past.items():
            for _ in range(flow_sweep.SLICES):
                forgotten = await self._queues.write(partial(flow_sweep.forget, queue=queue, before=before))
                if forgotten < flow_sweep.SLICE:
                    break

    async def forget_texts(self, *, kept: float) -> bool:
        now = self._queues.steady()
        before = now - kept
        if not await self._database.read(lambda connection: has_unused(connection, before=before)):
            return False
        return await self._queues.write(lambda connection: forget_texts(connection, before=before, now=now))
