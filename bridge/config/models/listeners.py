"""`listeners`: where the process listens, and what it serves there."""

import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from bridge.config.models.admin_auth import AdminAuth
from bridge.config.models.credentials import ListenerTls
from bridge.config.section import Positive, Section


class Listen(NamedTuple):
    """Where a listener is bound; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("127.0.0.1", "::1", "localhost")


def _listen(value: object) -> Listen:
    parsed = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):(\d{1,5})", value) if isinstance(value, str) else None
    if parsed is None or int(parsed[3]) > 65_535:
        raise ValueError("not an address; write host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Listen(parsed[1] or parsed[2], int(parsed[3]))


ListenOn = Annotated[Listen, BeforeValidator(_listen)]


class Connections(Section):
    """Limits of a listener: connections in all and of one client, and the seconds of a request's header and between two.

    The limit of open files lowers `max`; one client never has more than half of all.
    """

    max: int = Field(default=2000, ge=1)
    """Connections in all; the system's limit of open files may lower it."""
    max_per_client: int = Field(default=500, ge=1)
    """Connections of one address, never more than half of all."""
    header_timeout: Positive = 10.0
    """How long a request's line and headers may take to arrive."""
    idle_timeout: Positive = 75.0
    """How long an open connection may stay without a request; behind a load balancer, longer than that keeps it. At a limit
    the connection that has been idle longest is closed for a new one."""


class ListenerSettings(Section):
    """What every listener has."""

    tls: ListenerTls | None = None
    """Certificate and key of the listener; without them requests are in clear."""
    connections: Connections = Connections()
    """Limits against clients that open too many or too slow requests."""


class Playground(Section):
    """The console's page where an event is tried on a draft of the rules; nothing is sent or kept by it."""

    at_once: int = Field(default=2, ge=0, le=16)
    """How many tries run at once, each in a process of its own; more are answered 429, and 0 turns the page off."""


class AdminListener(ListenerSettings):
    """Health, metrics, console and admin API. Without `auth` only loopback may ask for more than health."""

    address: ListenOn = Listen("127.0.0.1", 8080)
    """Address and port of console and admin API, and of HTTP sources unless listeners.intake is set."""
    auth: AdminAuth | None = None
    """What administrators have to show for everything but health; without it only loopback may ask."""
    playground: Playground = Playground()
    """The page where operators try an event on a draft of the rules."""


class ProbesListener(ListenerSettings):
    """`/livez`, `/readyz`, `/startupz` and `/metrics` and nothing else, for all who reach it."""

    address: ListenOn
    """Address and port of health and metrics, such as 0.0.0.0:9090; requests there need no token."""


class IntakeListener(ListenerSettings):
    """HTTP sources and nothing else; each source has its own `auth`."""

    address: ListenOn
    """Address and port that events are posted to, such as 0.0.0.0:8081."""


class HubApiListener(ListenerSettings):
    """The listener of the wire protocol; who may do what there is `hubs.NAME.auth`."""

    address: ListenOn = Listen("127.0.0.1", 8443)
    """Address and port where phones register and back ends send."""


class Listeners(Section):
    """Where the process listens, and what it serves there."""

    admin: AdminListener = AdminListener()
    """Health, metrics, console and admin API, for operators."""
    probes: ProbesListener | None = None
    """Health and metrics alone, for probes and scrapes that show no secret."""
    intake: IntakeListener | None = None
    """HTTP sources on an address of their own; without it they are on that of admin."""
    hub_api: HubApiListener = HubApiListener()
    """The Azure Notification Hubs protocol, for phones and back ends."""

    def by_name(self) -> dict[str, AdminListener | ProbesListener | IntakeListener | HubApiListener]:
        """Those that are configured."""
        named = {"admin": self.admin, "probes": self.probes, "intake": self.intake, "hub_api": self.hub_api}
        return {name: listener for name, listener in named.items() if listener is not None}
