"""Builds the parts of the process, starts them in order, stops them in reverse."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from starlette.routing import BaseRoute

from bridge.config import HubSettings, Settings, SourceSettings
from bridge.decode import Decoded, decoder_for
from bridge.errors import EventError, Reason
from bridge.metrics import Metrics
from bridge.pipeline import Pipeline
from bridge.pipeline import Route as SourceRoute
from bridge.relay import Relay
from bridge.senders import remotes_of, senders_of
from bridge.server import Listener, Observed, admin_app
from bridge.supervisor import Supervisor
from bridge.telemetry import Telemetry
from bridge.trail import Trail
from connectors.base import Message, Settlement, Source
from hub.api.access import AccessPolicy, HubAccess, Right
from hub.api.app import create_app
from hub.engine import Hub
from hub.errors import StoreError
from hub.retry import RetryPolicy
from hub.store.seen import SeenWindow
from hub.store.sqlite import SqliteStore
from rules.errors import MappingError
from rules.event import Event
from rules.mapping import Given

_HOUSEKEEPING = 300.0
_NOTIFICATIONS_KEPT = 30 * 24 * 3600.0

_log = structlog.get_logger("pushbridge")


class Daemon:
    """One process, from its configuration. `running()` is a context: inside it everything runs, after it nothing does."""

    def __init__(
        self,
        settings: Settings,
        *,
        config_hash: str = "",
        console: Callable[["Daemon"], Sequence[BaseRoute]] = lambda daemon: (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.trail = Trail()
        self._clock = clock
        self._relay_troubles: dict[str, str] = {}
        self._stop = asyncio.Event()
        self._failed = False
        self._drain_until = 0.0  # by the loop's clock
        hubs = list(settings.hubs)
        local = {name: hub for name, hub in settings.hubs.items() if hub.remote is None}
        self.metrics = Metrics(
            version=version("pushbridge"),
            sources=list(settings.sources),
            rules=[rule.name for rule in settings.rules.rules],
            hubs=hubs,
        )
        self.telemetry = Telemetry(self.metrics, self.trail)
        self.store = SqliteStore(
            settings.store_path,
            window=SeenWindow(seconds=settings.bridge.store.seen_window),
            observe=self.metrics.transaction,
            expired=self.telemetry.lease_expired,
        )
        retry = settings.delivery.retry
        self.hub = Hub(
            self.store,
            senders_of(local),
            hubs=list(local),
            remotes=remotes_of(settings.hubs),
            observer=self.telemetry,
            policy=RetryPolicy(base=retry.backoff.base, cap=retry.backoff.cap, max_age=retry.max_age),
            max_pending=settings.bridge.store.max_pending,
            max_in_flight=settings.delivery.max_in_flight,
        )
        self.pipeline = Pipeline(
            {name: route_of(name, source, settings) for name, source in settings.sources.items()},
            settings.rules,
            self.hub,
            observer=self.telemetry,
            config_hash=config_hash,
        )
        self._sources = {name: source_of(name, source) for name, source in settings.sources.items()}
        self.supervisors = [self._supervisor(source) for source in self._sources.values()]
        self._relays = self._build_relays()
        token = settings.bridge.http.admin_token
        self.admin = Listener(
            admin_app(
                console(self),
                [source.route() for source in self._sources.values() if hasattr(source, "route")],
                metrics=self.metrics,
                readiness=self.readiness,
                before_scrape=self._before_scrape,
                token=None if token is None else token.get_secret_value(),
            ),
            settings.bridge.http.listen,
        )
        self.api: Listener | None = None
        if local:
            api = create_app(self.hub, {name: _access(hub) for name, hub in local.items()})
            self.api = Listener(Observed(api, self.metrics, ()), settings.hub_api.listen, tls=settings.hub_api.tls)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store, then the listeners, then the sources; on the way out stop them the other way round.

        Raises: StoreError, ListenError: nothing runs.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.hub.close)
            freed = await self.hub.open()
            if freed:
                _log.warning("work of a dead process taken up again", count=freed)
            delivering = self._start(self.hub.run(), name="hub")
            stack.push_async_callback(_end, [delivering])
            stack.push_async_callback(self._drain)
            for listener in filter(None, (self.api, self.admin)):
                await listener.open()
                stack.push_async_callback(listener.close)
            helpers = [self._start(self._housekeep(), name="housekeeping")]
            helpers += [self._start(relay.run(), name="relay") for relay in self._relays]
            stack.push_async_callback(_end, helpers)
            intake = [self._start(each.run(), name=f"source {each.status.name}") for each in self.supervisors]
            stack.push_async_callback(self._stop_intake, intake)
            self.metrics.config_ok.set(1)
            self.metrics.config_at.set_to_current_time()
            _log.info("started", admin="{}:{}".format(*self.admin.address), sources=list(self._sources))
            try:
                yield
            finally:
                _log.info("stopping")
                self._drain_until = asyncio.get_running_loop().time() + self.settings.bridge.shutdown.drain

    async def run(self) -> bool:
        """Run until SIGTERM or SIGINT, a second of which ends at once. False: a part failed, and so all was stopped."""
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self._stop.is_set():
                raise SystemExit(1)
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        async with self.running():
            await self._stop.wait()
            await asyncio.sleep(self.settings.bridge.shutdown.delay)
        _log.info("stopped", unfinished=self.hub.in_hand)
        return not self._failed

    def readiness(self) -> tuple[bool, list[str]]:
        """Whether events flow, and a line for the store and each source, relay and push service that says why not."""
        trouble = self.hub.store_trouble
        ready = trouble is None and not self._stop.is_set()
        lines = ["process: stopping"] if self._stop.is_set() else []
        lines.append("store: ok" if trouble is None else f"store: failing: {trouble}")
        for supervisor in self.supervisors:
            status = supervisor.status
            ready = ready and status.ready
            detail = f": {status.detail}" if status.detail else ""
            lines.append(f"source {status.name}: {status.state.value}{detail}")
        lines += [f"relay {name}: failing: {detail}" for name, detail in self._relay_troubles.items() if detail]
        lines += [
            f"push service {hub}/{platform.value}: breaker open"
            for (hub, platform), bulkhead in self.hub.bulkheads.items()
            if bulkhead.is_open
        ]
        lines += [f"remote hub {hub}: breaker open" for hub, remote in self.hub.remotes.items() if remote.is_open]
        return ready, lines

    def _supervisor(self, source: Source) -> Supervisor:
        return Supervisor(
            source,
            self.pipeline.handle,
            room=lambda: self.hub.room,
            observer=self.telemetry,
            excused=lambda: self.hub.store_trouble is not None,
            stall_after=self.settings.bridge.watchdog.stall_after,
        )

    def _build_relays(self) -> list[Relay]:
        relays = []
        for name, target in self.settings.dead_letter.sources.items():
            source = self.settings.sources[name]
            if target.amqp is None or source.amqp is None:
                continue
            from connectors.amqp import AmqpPublisher, AmqpPublisherSettings

            publisher = AmqpPublisher(
                f"{name}-dead-letters",
                AmqpPublisherSettings(url=source.amqp.url, exchange=target.amqp.exchange),
            )
            relays.append(
                Relay(
                    name, publisher, self.store, destination=target.amqp.key, observe=self._relay_troubles.__setitem__
                )
            )
        return relays

    def _start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """A task for as long as the process lives: one that fails stops the process, which would be half of itself."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_end)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.telemetry.crashed(task.get_name(), error)
            self._failed = True
            self._stop.set()

    async def _stop_intake(self, intake: Sequence[asyncio.Task[None]]) -> None:
        """Take no more, and let the batches under way be settled."""
        for supervisor in self.supervisors:
            supervisor.stop()
        if intake:
            await asyncio.wait(intake, timeout=self._drain_left)
        await _end(intake)

    async def _drain(self) -> None:
        await self.hub.drain(self._drain_left)

    @property
    def _drain_left(self) -> float:
        """Seconds of `shutdown.drain` that are left: one allowance for everything that is under way."""
        return max(0.0, self._drain_until - asyncio.get_running_loop().time())

    async def _housekeep(self) -> None:
        """Forget what is past its time."""
        letters = self.settings.dead_letter.default.store
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            now = self._clock()
            try:
                await self.store.housekeep(
                    notifications_before=now - _NOTIFICATIONS_KEPT,
                    dead_letters_before=now - letters.retention,
                    max_dead_letters=letters.max_rows,
                )
            except StoreError as error:
                self.telemetry.store_failed("write", error)
            except Exception as error:  # the events go on, whatever became of those past their time
                self.telemetry.crashed("housekeeping", error)

    async def _before_scrape(self) -> None:
        """Gauges that are asked for, not told."""
        self.metrics.set_sources([supervisor.status for supervisor in self.supervisors])
        self.metrics.set_bulkheads(self.hub.bulkheads)
        with suppress(StoreError):
            self.metrics.set_queues(await self.store.queue_states(), self.hub.max_pending)
            self.metrics.set_devices(await self.store.registrations_by_platform())


def source_of(name: str, settings: SourceSettings) -> Source:
    """The source that is configured; building it connects to nothing."""
    if settings.http is not None:
        from connectors.http import HttpSource

        return HttpSource(name, settings.http)
    assert settings.amqp is not None  # checked when the configuration was read
    from connectors.amqp import AmqpSource

    return AmqpSource(name, settings.amqp)


def route_of(name: str, source: SourceSettings, settings: Settings) -> SourceRoute:
    """How the messages of a source become events, and what becomes of those that do not."""
    event_map = source.event_map(name, ZoneInfo(settings.bridge.timezone))

    def to_event(message: Message, decoded: Decoded, now: datetime) -> Event:
        given = Given(
            data=decoded.data,
            meta={**message.properties, **decoded.attributes, "headers": message.headers},
            id=decoded.id,
            source=decoded.source,
            type=decoded.type,
            subject=decoded.subject,
            time=decoded.time,
            trace=decoded.trace,
            message_id=message.id,
            position=message.position,
            enqueued_at=message.enqueued_at,
        )
        try:
            return event_map.event(given, now=now)
        except MappingError as error:
            raise EventError(Reason.MAP, str(error)) from error

    target = settings.dead_letter.sources.get(name)
    return SourceRoute(
        decode=decoder_for(source.decode_settings),
        to_event=to_event,
        on_no_match=Settlement.REJECT if source.on_no_match == "dead_letter" else Settlement.ACK,
        keep_undecodable=source.decode.on_error == "dead_letter",
        native=target is not None and target.native,
        relay=name if target is not None and target.amqp is not None else None,
    )


def _access(hub: HubSettings) -> HubAccess:
    policies = [
        AccessPolicy(
            name=policy.name,
            rights=frozenset(Right(right) for right in policy.rights),
            keys=[key.get_secret_value() for key in (policy.key, policy.secondary_key) if key is not None],
        )
        for policy in hub.access_policies
    ]
    return HubAccess(policies=policies, platforms=hub.platforms.configured, max_tags_in_expression=hub.tier.max_tags)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
