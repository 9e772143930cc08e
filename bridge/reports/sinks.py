"""The sinks that are configured, as they run: a relay each, and what waits for them kept within its bounds."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bridge.config.models.document import Settings
from bridge.config.models.sinks import SinkSettings
from bridge.observe.facts import RelayChanged, ReportsDropped, ReportsPublished, SinkObserver, SinksMeasured
from bridge.relay import Relay, message_id, noting
from bridge.reports.reporter import ConfiguredReporter
from connectors.base import OutMessage
from hub.backoff import doubled
from hub.errors import StoreError
from hub.facts import Crashed
from hub.loops import Pulse
from hub.store.contracts.sinks import SinkLimits, Sinks

_LOOK_EVERY = 15.0
"""Seconds between two looks at how much waits."""

_FIRST_DELAY, _LONGEST_DELAY = 5.0, 600.0
"""Seconds until a report that was refused by itself is published again; doubled each time."""

_OF_NOBODY = SinkLimits(kept=7 * 86_400.0, max_rows=100_000, max_bytes=256 * 1024**2)
"""For what waits for sinks that are not configured any more."""

Start = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class OutgoingReports:
    """The reports of one sink."""

    def __init__(self, sink: str, store: Sinks, *, destination: str, observer: SinkObserver) -> None:
        self._sink = sink
        self._store = store
        self._destination = destination
        self._observer = observer
        self._attempts: dict[int, int] = {}

    async def waiting(self, limit: int) -> Mapping[int, OutMessage]:
        kept = await self._store.unreported(self._sink, limit=limit)
        self._attempts = {each.id: each.attempt for each in kept}
        return {
            each.id: OutMessage(
                id=message_id(self._sink, each.id, at=each.at, body=each.body),
                body=each.body,
                destination=self._destination,
                content_type=each.content_type,
            )
            for each in kept
        }

    async def published(self, rows: Sequence[int]) -> None:
        await self._store.reported(rows)
        self._observer.observe(ReportsPublished(sink=self._sink, count=len(rows)))

    async def refused(self, rows: Sequence[int]) -> None:
        """What is refused by itself does not stand in the way of the others."""
        await self._store.postpone_reports(
            {row: doubled(self._attempts[row] + 1, first=_FIRST_DELAY, longest=_LONGEST_DELAY) for row in rows}
        )


@dataclass(slots=True)
class _Running:
    settings: SinkSettings
    task: "asyncio.Task[None]"


class SinkManager:
    """The sinks that run. `start` runs a part as a task; `troubles` is told by sink what is wrong, empty if nothing is."""

    def __init__(
        self,
        store: Sinks,
        *,
        observer: SinkObserver,
        start: Start,
        troubles: dict[str, str],
        look_every: float = _LOOK_EVERY,
    ) -> None:
        self._store = store
        self._observer = observer
        self._start = start
        self._troubles = troubles
        self._look_every = look_every
        self._running: dict[str, _Running] = {}
        self._limits: Mapping[str, SinkLimits] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.pulse = Pulse()

    def apply(self, settings: Settings) -> None:
        """Run the sinks of a configuration; those that stay as they are go on untouched."""
        reporter = ConfiguredReporter(settings)
        self._store.report_to(reporter if reporter.tells else None)
        self._limits = {name: sink.limits for name, sink in settings.sinks.items()}
        for name, running in list(self._running.items()):
            if settings.sinks.get(name) != running.settings:
                self._end(self._running.pop(name).task)
                self._troubles.pop(name, None)
        for name, sink in settings.sinks.items():
            if name not in self._running:
                self._running[name] = _Running(sink, self._start(self._relay(name, sink).run(), f"sink {name}"))

    async def run(self) -> None:
        """Until cancelled: measure and bound what waits."""
        while True:
            try:
                await self._look()
            except StoreError:
                pass  # reported by who watches the store, and looked at again
            except Exception as error:  # reports go on
                self._observer.observe(Crashed(work="sinks", error=error))
            await self.pulse.sleep(self._look_every)

    async def close(self) -> None:
        """Publish no more; what waits is in the store."""
        for running in self._running.values():
            self._end(running.task)
        self._running.clear()
        for task in list(self._leaving):
            with suppress(asyncio.CancelledError, Exception):  # a failure is raised where it was started
                await task

    async def _look(self) -> None:
        dropped = await self._store.bound_sinks(self._limits, others=_OF_NOBODY)
        for sink, count in dropped.items():
            self._observer.observe(ReportsDropped(sink=sink, count=count))
        self._observer.observe(SinksMeasured(usage=await self._store.sink_usage()))

    def _relay(self, name: str, sink: SinkSettings) -> Relay:
        route, place = sink.place
        outgoing = OutgoingReports(name, self._store, destination=route.destination(place), observer=self._observer)
        publisher = route.make_publisher(f"sink-{name}", place)
        return Relay(name, publisher, outgoing, observe=noting(self._troubles, self._changed))

    def _changed(self, name: str, trouble: str) -> None:
        self._observer.observe(RelayChanged(kind="sink", name=name, trouble=trouble))

    def _end(self, task: "asyncio.Task[None]") -> None:
        task.cancel()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
