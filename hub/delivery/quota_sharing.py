"""The loop that tells the store what was pushed to services that have a quota, and brings what may be pushed next."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from hub.delivery.bulkhead import Bulkhead
from hub.errors import StoreError
from hub.loops import Pulse
from hub.push import PushPage
from hub.store.contracts.outbox import Service
from hub.store.contracts.store import Store

_TURN = 0.25
"""Seconds between two looks at who has something to report."""

_LOOK_EVERY = 2.0
"""Seconds between two looks for quotas that other processes met; what they learnt holds here too."""


class QuotaSharing:
    """`granted` is called after each turn in which a service got more: work that waited may go on. Run `run` as a task."""

    def __init__(
        self,
        bulkheads: Mapping[Service, Bulkhead[PushPage]],
        store: Store,
        *,
        granted: Callable[[], None],
        turn: float = _TURN,
    ) -> None:
        self._bulkheads = bulkheads
        self._store = store
        self._granted = granted
        self._turn = turn
        self._look_at = 0.0  # by the monotonic clock
        self.pulse = Pulse()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.pulse.beat()
            await self.share()
            await asyncio.sleep(self._turn)

    async def share(self) -> None:
        """One turn; a store that fails is asked again with the next."""
        with suppress(StoreError):  # reported
            await self._look()
        meters = {service: bulkhead.quota for service, bulkhead in self._bulkheads.items() if bulkhead.quota.is_due}
        if not meters:
            return
        reports = {service: meter.report() for service, meter in meters.items()}
        try:
            grants = await self._store.share_quotas(reports)
        except StoreError:
            sharers = self._store.fleet().live
            for service, meter in meters.items():
                meter.failed(reports[service], sharers=sharers)
        else:
            for service, meter in meters.items():
                meter.granted(grants[service])
        self._granted()

    async def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        known = await self._store.known_quotas()
        for service, bulkhead in self._bulkheads.items():
            bulkhead.quota.know(known.get(service))
