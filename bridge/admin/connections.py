"""How many connections a listener takes, in all and from one client; counting only, no I/O."""

import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from bridge.config.models.listeners import Connections
from bridge.observe.facts import Limit

SPARE = 32
"""Connections over the limit that are still answered, with 503, at once; health is answered as ever."""

_SPARE_OF_ONE = SPARE // 4
_TOLD_FOR = 10.0
"""Seconds for which readiness names a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`total` and `per_client` count connections; `head` and `idle` are in seconds.

    A client is an IPv4 address or an IPv6 network of 64 bits. `head` is the time from a connection's or request's first
    moment to the end of its header, `idle` that between two requests: a load balancer that keeps connections for 60 s, as
    most do, would otherwise send requests on connections that are being closed.
    """

    total: int = 2000
    per_client: int = 500
    head: float = 10.0
    idle: float = 75.0


def limits_of(connections: Connections, *, allowed: int) -> ConnectionLimits:
    """The limits that are configured, where open files allow `allowed` connections."""
    total = min(connections.max, allowed)
    return ConnectionLimits(
        total=total,
        per_client=min(connections.max_per_client, max(1, total // 2)),
        head=connections.header_timeout,
        idle=connections.idle_timeout,
    )


class Standing(Enum):
    """What becomes of a connection."""

    ADMITTED = auto()
    REFUSED = auto()
    """It is over a limit: it is answered 503."""
    CLOSED = auto()
    """So many are over a limit that it is closed unanswered."""


class Admission:
    """Admits connections up to the limits. Each one that was not CLOSED has to `leave`.

    `on_refused` gets each that was not ADMITTED.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[Limit], None] = lambda _: None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._on_refused = on_refused
        self._clients = Counter[str]()
        self._spare = Counter[str]()
        self._refused = 0
        self._refused_at = -_TOLD_FOR

    @property
    def open(self) -> int:
        """Connections within the limits."""
        return self._clients.total()

    @property
    def trouble(self) -> str:
        """What is refused at the moment, and why; empty if nothing is."""
        if self._clock() - self._refused_at >= _TOLD_FOR:
            return ""
        return (
            f"at its limit: {self.open} of {self.limits.total} connections are open, {self.limits.per_client} are allowed"
            f" for one client, and {self._refused} were refused"
        )

    def limit_reached(self, address: str) -> Limit | None:
        """The limit that one connection more from `address` would be over."""
        if self._clients[client_of(address)] >= self.limits.per_client:
            return Limit.PER_CLIENT
        return Limit.TOTAL if self.open >= self.limits.total else None

    def admit(self, address: str) -> Standing:
        """What becomes of a connection from `address`, which counts from now on."""
        client = client_of(address)
        limit = self.limit_reached(address)
        if limit is None:
            self._clients[client] += 1
            return Standing.ADMITTED
        self._on_refused(limit)
        now = self._clock()
        self._refused = self._refused + 1 if now - self._refused_at < _TOLD_FOR else 1
        self._refused_at = now
        if self._spare[client] < _SPARE_OF_ONE and self._spare.total() < SPARE:
            self._spare[client] += 1
            return Standing.REFUSED
        return Standing.CLOSED

    def leave(self, address: str, standing: Standing) -> None:
        """The connection has ended."""
        counted = self._clients if standing is Standing.ADMITTED else self._spare
        client = client_of(address)
        counted[client] -= 1
        if not counted[client]:
            del counted[client]


class Closable(Protocol):
    """A connection that may be closed to make room."""

    def give_up(self) -> bool:
        """Close it at once and let it leave its `Admission`; False, and nothing done, if it has an answer to write."""
        ...


class IdleConnections:
    """Connections between two requests, in the order in which they became idle: a new one needs their places more.

    A client is as `client_of` has it; the caller asks once a connection, as to read an address costs more than all of this.
    """

    def __init__(self) -> None:
        self._clients: dict[Closable, str] = {}
        self._of_client: dict[str, dict[Closable, None]] = {}

    def add(self, connection: Closable, client: str) -> None:
        """A request of the connection was answered, and no other has begun."""
        self.remove(connection)
        self._clients[connection] = client
        self._of_client.setdefault(client, {})[connection] = None

    def remove(self, connection: Closable) -> None:
        """A request begins, or the connection has ended; nothing where it was not idle."""
        client = self._clients.pop(connection, None)
        if client is not None:
            of_client = self._of_client[client]
            del of_client[connection]
            if not of_client:
                del self._of_client[client]

    def make_room(self, limit: Limit, client: str) -> None:
        """Close the connection that has been idle longest, for one more from `client`: of the same client, if its limit
        was reached."""
        found = self._clients if limit is Limit.TOTAL else self._of_client.get(client, {})
        for connection in list(found):
            if connection.give_up():
                self.remove(connection)
                return


def client_of(address: str) -> str:
    """Who is counted: who has one IPv6 address has all of its network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
