"""A whole hub in a test: its store, its clock, and push services that are played."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hub.delivery.dispatch import Timing
from hub.delivery.pacing import Rates
from hub.engine import Hub
from hub.guards import Guards
from hub.notification import Platform
from tests.fakes.clock import FakeClock
from tests.fakes.observer import FakeObserver
from tests.fakes.senders import FakeSender
from tests.fakes.stores import FlakyStore
from tests.hub.examples import HUB

QUICK = Timing(poll=0.003, accept_backoff=(0.001, 0.01), count_every=0.005)


class Running:
    """A hub with one push service that is played; not yet at work."""

    def __init__(
        self,
        path: Path,
        *,
        max_pending: int = 100_000,
        timing: Timing = QUICK,
        max_in_flight: int = 2000,
        senders: Sequence[Platform] = (),
        guards: Guards | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.store = FlakyStore(path, clock=self.clock)
        self.observer = FakeObserver()
        self.fcm = FakeSender(Platform.FCM)
        self.others = {platform: FakeSender(platform) for platform in senders}
        self.hub = Hub(
            self.store,
            {(HUB, Platform.FCM): self.fcm, **{(HUB, platform): each for platform, each in self.others.items()}},
            hubs=[HUB],
            guards=guards,
            rates=rates,
            observer=self.observer,
            max_pending=max_pending,
            max_in_flight=max_in_flight,
            clock=self.clock,
            timing=timing,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        freed = await self.hub.open()
        self._task = asyncio.ensure_future(self.hub.run())
        return freed

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self.hub.close()
