"""`bridge`: the process itself, its store, its log and its end."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bridge.config.models.store import StoreSettings
from bridge.config.models.tracing import Tracing
from bridge.config.section import NotNegative, Positive, Section, form, time_zone
from connectors.duration import Duration
from hub.egress import EgressDefaults


class Shutdown(Section):
    """On SIGTERM: `delay` until intake stops, so that balancers notice, then up to `drain` to finish what is under way."""

    delay: NotNegative = 0.0
    """Time between SIGTERM and the end of intake, so that load balancers notice."""
    drain: NotNegative = 20.0
    """Time to finish the work begun, before the process exits."""


class Watchdog(Section):
    """A source with a backlog that has not moved for `stall_after` is rebuilt; what holds the event loop is named."""

    stall_after: Positive = 120.0
    """A source with a backlog that stands still for so long is connected again."""
    loop_held_after: Annotated[Duration, Field(ge=0.05, le=60)] = 0.2
    """A step that holds the event loop for so long is named in the log and counted."""


LogLevel = Literal["debug", "info", "warning", "error"]


class Log(Section):
    """What is logged, and how: JSON lines for machines, or `console` for people."""

    level: LogLevel = "info"
    """The least important lines that are written."""
    format: Literal["json", "console"] = "json"
    """JSON lines for machines, or console for people."""


class BridgeSettings(Section):
    """The process. Times of events that have no offset are in `timezone`."""

    name: Annotated[str, form(r"[\w.-]{1,100}", "a name of letters, digits, '.', '_' and '-'")] = "pushbridge"
    """What status and tools call this process, to tell it from others."""
    revision: Annotated[
        str, form(r"[\w.:/+-]{0,100}", "at most 100 letters, digits and '.', '_', ':', '/', '+', '-'")
    ] = ""
    """A commit or the like, named by log, status, metric, notifications and dead letters."""
    timezone: Annotated[str, AfterValidator(time_zone)] = "UTC"
    """IANA zone of times in events that come without an offset."""
    egress: EgressDefaults = EgressDefaults()
    """Proxy and certificates of everything that leaves; each part can say otherwise."""
    store: StoreSettings = StoreSettings()
    """The durable database of notifications, registrations and dead letters."""
    shutdown: Shutdown = Shutdown()
    """How the process ends after SIGTERM."""
    watchdog: Watchdog = Watchdog()
    """When a source that stands still is rebuilt, and what is said of an event loop that is held."""
    heartbeat: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    """How often an event without a push goes through each stage: one that stands still is named within twice that time."""
    log: Log = Log()
    """How much is logged, and in which form."""
    tracing: Tracing = Tracing()
    """Where spans of what is done go."""
