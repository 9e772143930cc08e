"""Builds the parts of the process, starts them in order, stops them in reverse."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute

from bridge.admin.api.routes import routes as api_routes
from bridge.admin.health import (
    Part,
    books_part,
    configuration_part,
    follow_up_parts,
    heartbeat_parts,
    loop_part,
    process_part,
    push_parts,
    relay_parts,
    remote_parts,
    source_parts,
    store_part,
)
from bridge.admin.playground.process import Playground
from bridge.admin.server import RequestMetrics, admin_app, health_routes, open_app
from bridge.config.memory import give_up
from bridge.config.models.document import Settings
from bridge.config.reload import Reloader, waiting_for_restart
from bridge.heartbeat import Heartbeat, stages_of
from bridge.housekeeping import Housekeeping
from bridge.hub_wiring import HubWiring
from bridge.inlets import Inlets
from bridge.intake.expecting import Expectations
from bridge.intake.journaling import Journaling
from bridge.intake.manager import SOURCE_STOP, SourceManager
from bridge.intake.pipeline import Pipeline
from bridge.intake.replay import Replayer
from bridge.listening import Listeners
from bridge.logger import structlog
from bridge.loop_guard import LoopGuard
from bridge.mirrors import Mirrors
from bridge.observe.fact_log import FactLog
from bridge.observe.facts import (
    ConfigurationApplied,
    ConfigurationRefused,
    SchemaLookedUp,
    SourceStatus,
    Started,
    TracingFact,
)
from bridge.observe.metrics import Metrics
from bridge.observe.mirror_log import MirrorLog
from bridge.observe.recent import RecentEvents
from bridge.observe.silence_log import SilenceLog
from bridge.observe.store_metrics import POSTGRES, SQLITE
from bridge.observe.telemetry import Telemetry
from bridge.observe.tracing.traces import Traces
from bridge.phones import PhoneServices
from bridge.reports.follow_ups import FollowUpLoop
from bridge.reports.sinks import SinkManager
from bridge.schemas.registry import SchemaRegistries
from bridge.scraping import Gauges
from bridge.senders import expiries_of
from bridge.stores import DaemonStore, store_of
from bridge.wiring import (
    access_of,
    metric_names,
    rates_of,
    routes_of,
)
from hub.acceptance import ConfigurationVersion
from hub.api.access import HubAccess
from hub.api.app import create_app, utc_now
from hub.api.wire.lines import DescriptionLines
from hub.facts import Crashed, HubFact, WorkLeftOver
from hub.jobs.runner import JobRunner
from hub.precedence import Precedence
from hub.store.health import HealthTiming
from hub.work import Lane
from rules.engine import RuleSet

_log = structlog.get_logger("pushbridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time that a process waits for its parts."""

    store: HealthTiming = HealthTiming()
    source_stop: float = SOURCE_STOP
    """How long a source of an earlier configuration has to settle what the source has taken."""


_CUT_OFF = 4
"""The exit code where a second signal ended the process at once: a part failed, the drain. See `bridge/cli/exits.py`."""


class Daemon:
    """One process, from its configuration. `running()` is a context: inside it everything runs, after it nothing does.

    `config` names where the settings were read from, for the log.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        config: str = "",
        config_hash: str = "",
        reload: Callable[["Daemon"], Reloader] | None = None,
        console: Callable[["Daemon"], Sequence[BaseRoute]] = lambda daemon: (),
        clock: Callable[[], float] = time.time,
        timing: Timing = Timing(),
    ) -> None:
        self.settings = settings
        self._started_by = settings.model_copy(update={"rules": RuleSet()})  # those of the start would stay for ever
        self.config, self.config_hash = config, config_hash
        self.reloader = None if reload is None else reload(self)
        self.recent_events = RecentEvents()
        self._clock = clock
        self._precedence = Precedence()
        self._sink_troubles: dict[str, str] = {}
        self._stop = asyncio.Event()
        self._failed = self.store_is_broken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.loaded_at = clock()
        self._drain_until = 0.0  # by the loop's clock
        engine = POSTGRES if settings.bridge.store.is_postgres else SQLITE
        self.metrics = Metrics(version=version("pushbridge"), engine=engine, **metric_names(settings))
        self.traces = Traces(version=version("pushbridge"), instance=socket.gethostname(), report=self._traced)
        self._fact_log = FactLog()
        self.telemetry = Telemetry(
            self.metrics, self.recent_events, self._fact_log, MirrorLog(), SilenceLog(), self.traces
        )
        self.mirrors = Mirrors(observer=self.telemetry, is_shared=settings.bridge.store.is_postgres)
        self.store = self._build_store()
        self._hub_wiring = HubWiring(
            settings=lambda: self.settings,
            config_hash=lambda: self.config_hash,
            mirrors=self.mirrors,
            observer=self.telemetry,
            precedence=self._precedence,
        )
        self.hub = self._hub_wiring.build(self.store, timing=timing.store)
        self.phones = PhoneServices(self.hub, observer=self.telemetry)
        self._housekeeping = Housekeeping(self.hub, settings=lambda: self.settings, observer=self.telemetry)
        self.pipeline = Pipeline({}, RuleSet(), self.hub, observer=self.telemetry, precedence=self._precedence)
        self._registries = SchemaRegistries(
            on_lookup=lambda source, result: self.telemetry.observe(SchemaLookedUp(source=source, result=result))
        )
        self.replayer = Replayer(
            self.pipeline, self.hub, hubs=lambda: {name.lower() for name in self.settings.hubs}, observer=self.telemetry
        )
        self.playground = Playground(
            paths=lambda: () if self.reloader is None else self.reloader.paths, observer=self.telemetry
        )
        self._inlets = Inlets(self.hub, self.pipeline, observer=self.telemetry, precedence=self._precedence)
        self.intake = SourceManager(self._inlets.make, start=self._start, stop_timeout=timing.source_stop)
        self._sinks = SinkManager(
            self.hub.store, observer=self.telemetry, start=self._start, troubles=self._sink_troubles
        )
        self._follow_ups = FollowUpLoop(self.hub.store, observer=self.telemetry)
        self._heartbeat = self._build_heartbeat()
        self._loop_guard = LoopGuard(
            observer=self.telemetry, bound=lambda: self.settings.bridge.watchdog.loop_held_after
        )
        self._console = console
        self._served: tuple[object, ...] = ()
        self._gauges = self._build_gauges()
        self.listeners = Listeners(
            settings, metrics=self.metrics.process, observer=self.telemetry, crashed=self._crashed
        )
        self.metrics.delivery.set_expiries(expiries_of(settings.hubs))
        self.admin, self.api = self.listeners["admin"], self.listeners.get("hub_api")

    def _build_store(self) -> DaemonStore:
        return store_of(self.settings, observe=self.metrics.store.observe, on_broken=self._store_broken)

    def _build_heartbeat(self) -> Heartbeat:
        return Heartbeat(
            stages_of(
                self.settings,
                self.hub,
                offload=self.pipeline.offload,
                sinks=self._sinks.pulse.felt,
                follow_ups=self._follow_ups.pulse.felt,
                housekeeping=self._housekeeping.pulse.felt,
            ),
            observer=self.telemetry,
            every=lambda: self.settings.bridge.heartbeat,
        )

    def _build_gauges(self) -> Gauges:
        return Gauges(
            self.metrics,
            self.store,
            self.hub,
            self.mirrors,
            self._registries,
            settings=lambda: self.settings,
            statuses=lambda: self._statuses,
        )

    def _store_broken(self, reason: str) -> None:
        """Only a new process can go on with the store; called from a thread of the store."""
        _log.error("store broken", reason=reason)
        self._failed = self.store_is_broken = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store, then the listeners, then the sources; on the way out stop them the other way round.

        Raises: StoreError, ListenError: nothing runs.
        """
        self._loop = asyncio.get_running_loop()
        self.traces.apply(self.settings)
        async with AsyncExitStack() as stack:
            stack.callback(self._fact_log.close)
            stack.push_async_callback(self.traces.close)
            stack.push_async_callback(self.hub.close)
            left_over = await self.hub.open()
            if left_over:
                self.telemetry.observe(WorkLeftOver(lane=Lane.SINGLE, count=left_over))
                _log.warning("work of a dead process taken up again", count=left_over)
            delivering = self._start(self.hub.run(), "hub")
            stack.push_async_callback(_end, [delivering])
            stack.push_async_callback(self._drain)
            stack.push_async_callback(self.phones.close)
            for listener in self.listeners:
                await listener.open()
                stack.push_async_callback(listener.close)
            helpers = [
                self._start(self._housekeeping.run(), "housekeeping"),
                self._start(self._job_runner().run(), "jobs"),
                self._start(self.phones.run(), "phones"),
                self._start(self._sinks.run(), "sinks"),
                self._start(self._follow_ups.run(), "follow-ups"),
                self._start(self.mirrors.run(self.hub.store), "mirrors"),
                self._start(self._expectations().run(), "expected sources"),
                self._start(self._heartbeat.run(), "heartbeat"),
                self._start(self._loop_guard.run(), "loop guard"),
            ]
            if self.reloader is not None:
                helpers.append(self._start(self.reloader.run(), "reload"))
            stack.push_async_callback(_end, helpers)
            stack.push_async_callback(self._sinks.close)
            self._sinks.apply(self.settings)
            self._follow_ups.apply(self.settings)
            stack.push_async_callback(self._stop_intake)
            await self.intake.apply(self.settings, between=self._rules_exchange(self.settings, self.config_hash))
            self._exchange_apps()  # until now every request was answered as too early
            self.telemetry.observe(self._started())
            self.listeners.warn_of_lowered_limits(self.settings)
            try:
                yield
            finally:
                _log.info("stopping")
                # What is under way when the store is broken can be recorded no more: waiting for it would only delay the
                # next process, which takes it up under the same push id.
                drain = 0.0 if self.store_is_broken else self.settings.bridge.shutdown.drain
                self._drain_until = asyncio.get_running_loop().time() + drain

    async def run(self) -> bool:
        """Run until SIGTERM or SIGINT, a second of which ends at once. False: a part failed, and so all was stopped."""
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self._stop.is_set():
                raise SystemExit(_CUT_OFF)
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        async with self.running():
            await self._stop.wait()
            await asyncio.sleep(0.0 if self.store_is_broken else self.settings.bridge.shutdown.delay)
        _log.info("stopped", unfinished=self.hub.in_hand)
        return not self._failed

    def _started(self) -> Started:
        return Started(
            version=version("pushbridge"),
            revision=self.settings.bridge.revision,
            config=self.config,
            config_hash=self.config_hash,
            store=self.settings.store_name,
            admin=self.admin.authority,
            probes=self.listeners.authority_of("probes"),
            intake=self.listeners.authority_of("intake"),
            hub_api=self.listeners.authority_of("hub_api"),
            sources=list(self.settings.sources),
            hubs=list(self.settings.hubs),
            rules=len(self.settings.rules.rules),
        )

    def health(self) -> list[Part]:
        """How each part of the process fares."""
        return [
            process_part(stopping=self._stop.is_set()),
            store_part(self.hub.store_trouble),
            configuration_part(None if self.reloader is None else self.reloader.refusal, loaded_at=self.loaded_at),
            *source_parts(self._statuses),
            *self.listeners.parts,
            *relay_parts(self._inlets.relay_troubles),
            *relay_parts(self._sink_troubles, kind="sink"),
            *follow_up_parts(self._follow_ups.usage, has_sinks=bool(self.settings.sinks)),
            *push_parts(self.hub.bulkheads, full=self.hub.full),
            *remote_parts(self.hub.remotes),
            *heartbeat_parts(self._heartbeat.stalled),
            loop_part(*self._loop_guard.held_lately),
            books_part(self.hub.books.unaccounted),
        ]

    async def list_mirror(self, hub: str, *, may_remove: bool = False) -> None:
        await self.mirrors.list_now(hub, self.hub.store, may_remove=may_remove)

    def observe(self, fact: HubFact) -> None:
        self.telemetry.observe(fact)

    async def back_up(self, target: Path) -> int:
        return await self.store.back_up(target)

    async def apply(self, settings: Settings, *, config_hash: str) -> Sequence[str]:
        """Run by another configuration from now on; what both say alike goes on untouched.

        Sources, rules, dead letters, hubs and their credentials change at once. What only a start can change stays as it
        is: the log names those keys, and they are returned.

        Raises: StoppingError, OSError, and what building a part may raise: then the old configuration is in force.
        """
        restart = waiting_for_restart(self._started_by, settings)
        if restart:
            _log.warning("takes a restart", parts=restart)
        renew_certificates = self.listeners.renewal(settings)
        expiries = expiries_of(settings.hubs)
        names = await asyncio.to_thread(metric_names, settings)
        replaced = [self.settings.rules]
        exchange_hubs, exchange_rules = (
            self._hub_wiring.exchange(self.hub, settings),
            self._rules_exchange(settings, config_hash),
        )

        def between() -> None:
            self.settings, self.config_hash = settings, config_hash
            self.loaded_at = self._clock()
            self.metrics.declare(**names)
            self.traces.apply(settings)
            self._inlets.relay_troubles.clear()  # a relay that stays reports its trouble with its next try
            renew_certificates()
            self.metrics.delivery.set_expiries(expiries)
            exchange_hubs()
            exchange_rules()
            self.hub.pacing.apply(rates_of(settings))
            self._sinks.apply(settings)
            self._follow_ups.apply(settings)

        stopped, started = await self.intake.apply(settings, between=between)
        self._exchange_apps()
        revision = settings.bridge.revision
        self.telemetry.observe(
            ConfigurationApplied(revision=revision, config_hash=config_hash, stopped=stopped, started=started)
        )
        await asyncio.to_thread(give_up, replaced)
        return restart

    def reloaded(self, applied: bool) -> None:
        """A configuration was read again: one that is applied has been reported by then."""
        if not applied:
            self.telemetry.observe(ConfigurationRefused())

    def _rules_exchange(self, settings: Settings, config_hash: str) -> Callable[[], None]:
        version = ConfigurationVersion(revision=settings.bridge.revision, hash=config_hash)
        return partial(
            self.pipeline.exchange,
            routes_of(settings, self._registries),
            settings.rules,
            configuration=version,
            journaling=Journaling(settings.journal, settings.rules),
            traces=self.traces if settings.bridge.tracing.endpoint else None,
        )

    def _exchange_apps(self) -> None:
        self.phones.apply(self.settings.hubs)
        auth = self.settings.listeners.admin.auth
        served = auth, self.settings.hubs, [running.source for running in self.intake]
        if served == self._served:  # an app refers to itself: each one would stay until it is looked for as garbage
            return
        self._served = served
        reloads = [] if self.reloader is None else self.reloader.routes
        health = health_routes(self.metrics, health=self.health, before_scrape=self._gauges.read)
        admin = admin_app(
            [*api_routes(self), *self._console(self), *reloads],
            [] if "intake" in self.listeners else self.intake.routes,
            health,
            metrics=self.metrics,
            auth=auth,
        )
        self.listeners.serve("admin", admin)
        self.listeners.serve("probes", open_app(health, metrics=self.metrics))
        self.listeners.serve("intake", open_app(self.intake.routes, metrics=self.metrics))
        keeps_origins = not self.settings.journal.off
        app = create_app(self.hub, self._access(), trace=self.traces.of_send, keeps_origins=keeps_origins)
        api = self.phones.app(app)
        self.listeners.serve("hub_api", RequestMetrics(api, self.metrics, ()))

    def _access(self) -> dict[str, HubAccess]:
        """Who may do what in the hubs that are kept here."""
        return {name: access_of(hub) for name, hub in self.settings.hubs.items() if hub.is_kept_here}

    def _job_runner(self) -> JobRunner:
        return JobRunner(
            self.hub,
            self.hub.store,
            DescriptionLines(self._access, clock=utc_now),
            settings=lambda: {name: access.jobs for name, access in self._access().items()},
            observer=self.telemetry,
            new_job=self.hub.new_job,
        )

    @property
    def _statuses(self) -> list[SourceStatus]:
        return [inlet.supervisor.status for inlet in self.intake]

    def _expectations(self) -> Expectations:
        return Expectations(
            self.hub.store,
            statuses=lambda: self._statuses,
            expected=lambda: {
                name: source.expect_every
                for name, source in self.settings.sources.items()
                if source.expect_every is not None
            },
            observer=self.telemetry,
            clock=self._clock,
        )

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task for as long as the process lives: one that fails stops the process, which would be half of itself."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._crashed(task.get_name(), error)
            self._failed = True
            self._stop.set()

    def _crashed(self, work: str, error: Exception) -> None:
        self.telemetry.observe(Crashed(work=work, error=error))

    def _traced(self, fact: TracingFact) -> None:
        self.telemetry.observe(fact)

    async def _stop_intake(self) -> None:
        """Take no more, and let the batches under way be settled."""
        await self.intake.stop(self._drain_left)

    async def _drain(self) -> None:
        await self.hub.drain(self._drain_left)

    @property
    def _drain_left(self) -> float:
        """Seconds of `shutdown.drain` that are left: one allowance for everything that is under way."""
        return max(0.0, self._drain_until - asyncio.get_running_loop().time())


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
