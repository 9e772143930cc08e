"""How a source runs in this process: its connector, what supervises it, and what sends its dead letters on."""

from functools import partial

from bridge.config.models.document import Settings
from bridge.config.models.sources import SourceSettings
from bridge.intake.manager import RunningSource
from bridge.intake.offsets import AcceptedOffsets
from bridge.intake.pipeline import Pipeline
from bridge.intake.sharing import BatchSizes
from bridge.intake.supervisor import Supervisor
from bridge.observe.facts import RelayChanged, SourceState
from bridge.observe.telemetry import Telemetry
from bridge.relay import noting
from bridge.wiring import relay_of, source_of
from connectors.connector import Capacity
from hub.engine import Hub
from hub.precedence import Precedence
from hub.rate import RateLimiter


class Inlets:
    """Makes the sources of a configuration; making one connects to nothing.

    `relay_troubles` is what is wrong with the relays of dead letters, by source: empty where all is well.
    """

    def __init__(self, hub: Hub, pipeline: Pipeline, *, observer: Telemetry, precedence: Precedence) -> None:
        self._hub = hub
        self._pipeline = pipeline
        self._observer = observer
        self._precedence = precedence
        self._batch_sizes = BatchSizes()
        self.relay_troubles: dict[str, str] = {}

    def make(self, name: str, source_settings: SourceSettings, settings: Settings) -> RunningSource:
        hub = self._hub
        limiter = RateLimiter(source_settings.rate, sharers=lambda: hub.store.fleet().live)

        def admit(count: int) -> float:
            if (seconds := limiter.admit(count)) and limiter.rate is not None:
                supervisor.turned_away(limiter.rate)
            return seconds

        source = source_of(
            name,
            source_settings,
            Capacity(
                store_fails=lambda: hub.store_trouble is not None,
                has_room=lambda: supervisor.status.state is not SourceState.PAUSED,
                max_body=source_settings.decode.max_body,
                offsets=AcceptedOffsets(hub.store),
                admit=admit,
                ahead=partial(self._precedence.ahead, name),
            ),
        )
        supervisor = Supervisor(
            source,
            self._pipeline.handle,
            capacity=lambda: hub.capacity,
            readable=self._pipeline.readable,
            observer=self._observer,
            limiter=None if source_settings.connector.is_posted_to else limiter,
            sizes=self._batch_sizes,
            precedence=self._precedence,
            watchdog_suspended=lambda: hub.store_trouble is not None,
            stall_after=settings.bridge.watchdog.stall_after,
        )
        relay = relay_of(name, settings, hub.store, observe=noting(self.relay_troubles, self._relay_changed))
        return RunningSource(source=source, supervisor=supervisor, relay=relay, limiter=limiter)

    def _relay_changed(self, name: str, trouble: str) -> None:
        self._observer.observe(RelayChanged(kind="relay", name=name, trouble=trouble))
