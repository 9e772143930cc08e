"""The gauges that are read when Prometheus asks, because keeping them up to date would cost each event."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge.config.models.document import Settings
from bridge.mirrors import Mirrors
from bridge.observe.facts import SourceStatus
from bridge.observe.metrics import Metrics
from bridge.schemas.registry import SchemaRegistries
from bridge.stores import DaemonStore
from hub.engine import Hub
from hub.errors import StoreError


class Gauges:
    """Reads them from the parts of the process; what the store cannot tell now keeps its last value."""

    def __init__(
        self,
        metrics: Metrics,
        store: DaemonStore,
        hub: Hub,
        mirrors: Mirrors,
        registries: SchemaRegistries,
        *,
        settings: Callable[[], Settings],
        statuses: Callable[[], Sequence[SourceStatus]],
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._hub = hub
        self._mirrors = mirrors
        self._registries = registries
        self._settings = settings
        self._statuses = statuses

    async def read(self) -> None:
        metrics, hub, settings = self._metrics, self._hub, self._settings()
        metrics.process.set_heartbeat(settings.bridge.heartbeat)
        metrics.sources.set_sources(self._statuses())
        metrics.sources.set_schemas(self._statuses(), self._registries.sizes)
        metrics.delivery.set_bulkheads(hub.bulkheads)
        metrics.delivery.set_remotes(hub.remotes)
        metrics.delivery.set_held(hub.held)
        with suppress(OSError):
            if (space := await asyncio.to_thread(self._store.space)) is not None:
                metrics.store.set_space(space)
        metrics.queue.set_paced(hub.store.paced())
        metrics.queue.set_ownership(hub.store.ownership())
        with suppress(StoreError):
            await self._ask_the_store(settings)

    async def _ask_the_store(self, settings: Settings) -> None:
        metrics, store = self._metrics, self._hub.store
        bounds = settings.dead_letters.default.store
        metrics.store.set_letters(await store.letter_usage(), max_letters=bounds.max_rows, max_bytes=bounds.max_bytes)
        metrics.store.set_journal(await store.journal_usage(), max_bytes=settings.journal.max_bytes)
        metrics.quiet.set_released(store.released())
        metrics.quiet.set_usage(await store.quiet())
        metrics.queue.set_queues(await store.queue_states(), self._hub.max_pending)
        metrics.mirrors.set_states(
            await self._mirrors.states(store), {name: hub.list_every for name, hub in self._mirrors.hubs.items()}
        )
        now, known = store.now(), store.known_silences
        metrics.silences.set_silences(
            [silence for silence in known if silence.until > now], await store.silence_usage()
        )
        metrics.delivery.set_devices(await store.registrations_by_platform())
