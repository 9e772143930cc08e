"""What all stand-ins share: a listener, faults, and that every push goes into the journal before it is answered."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.faults import Faults
from sandbox.journal import Journal
from sandbox.server import HOST, HttpServer, Version

PUSH_ID_HEADER = "x-pushbridge-id"
"""Where a sender puts its own id of a push for services that have no header for it."""


class PushService(ABC):
    """A stand-in for one push service: build it, `start`, `stop`.

    `name` is the platform's name in installations. `faults` may be changed at any time.
    """

    name: ClassVar[str]
    versions: ClassVar[tuple[Version, ...]]

    def __init__(self, *, journal: Journal, context: ssl.SSLContext, max_streams: int = 100) -> None:
        self.faults = Faults()
        self._journal = journal
        self._server = HttpServer(
            self._serve, faults=self.faults, context=context, versions=self.versions, max_streams=max_streams
        )

    @property
    def port(self) -> int:
        """The port it listens on, known once started."""
        return self._server.port

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return f"https://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients' connections are open."""
        return len(self._server.connections)

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; 0 takes any free port.

        Raises: OSError: the port is taken.
        """
        await self._server.start(port)

    async def stop(self) -> None:
        """Break everything off at once; may be called twice."""
        await self._server.stop()

    def goaway(self, *, reason: str = "") -> None:
        """Ask every connected client to open another connection."""
        for connection in list(self._server.connections):
            connection.goaway(reason=reason)

    def limit_streams(self, streams: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS to all clients, those to come included."""
        self._server.max_streams = streams
        for connection in self._server.connections:
            connection.limit_streams(streams)

    @abstractmethod
    def register(self, handle: str) -> None:
        """The app behind `handle` takes pushes from now on."""

    @abstractmethod
    def unregister(self, handle: str) -> None:
        """The app behind `handle` is gone, and the service knows it."""

    @abstractmethod
    def _serve(self, exchange: Exchange) -> None:
        """Examine a request and conclude it, or answer it where it is not a push."""

    def _conclude(
        self,
        exchange: Exchange,
        answer: Answer,
        *,
        handle: str,
        push_id: str,
        refusal: RefusedError | None,
        payload: bytes | None = None,
        others: Sequence[str] = (),
        dead: Sequence[str] = (),
    ) -> None:
        """Write the push into the journal and answer it, as far as the faults let it.

        `payload` is what the device reads, where the body is another. The same push is for `others` too, but for those
        that are `dead`.
        """
        drop = self.faults.takes_drop() if refusal is None else None
        for each in (handle, *others) if drop is not False else ():
            reason = "the app is gone" if each in dead else ""
            self._journal.record(
                service=self.name,
                push_id=push_id,
                handle=each,
                status=answer.status,
                reason=reason if refusal is None else refusal.reason,
                payload=exchange.body if payload is None else payload,
                headers=exchange.headers,
            )
        if drop is not None:
            exchange.drop()
        else:
            self.faults.deliver(exchange, answer, taken=refusal is None)
