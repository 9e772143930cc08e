"""What a connection is to a service, whichever HTTP version it speaks."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, cast

from sandbox.exchange import Exchange
from sandbox.faults import Faults

Handler = Callable[[Exchange], None]
"""Takes a request and sees to it that it is answered, now or later; called in the order of arrival."""

MAX_BODY = 64 * 1024
"""Bytes of a body that are kept; a service has refused it long before."""


class Connection(asyncio.Protocol):
    """One client's connection. `context` is the service's: what it remembers of this connection."""

    def __init__(self, handle: Handler, faults: Faults, connections: set["Connection"]) -> None:
        self.context: Any = None
        self.lost = asyncio.get_running_loop().create_future()
        self._handle = handle
        self._faults = faults
        self._connections = connections
        self._transport: asyncio.Transport
        self._blind = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it
        self._connections.add(self)

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the client has shown (DER), which the CA of the service's context vouches for."""
        shown: bytes | None = self._transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        """A client that does not read its answers is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def abort(self) -> None:
        """End it without another byte."""
        self._transport.abort()

    @abstractmethod
    def goaway(self, *, reason: str = "") -> None:
        """Announce that no further request is taken; what is under way is still answered."""

    @abstractmethod
    def limit_streams(self, streams: int) -> None:
        """Take this many requests at a time from now on."""

    def _in_black_hole(self) -> bool:
        """Whether bytes that would pass now are lost. After the hole the connection is of no use, and is ended."""
        if self._faults.silent:
            self._blind = True
        elif self._blind:
            self.abort()
        return self._blind
