"""How the process listens: an HTTP server in its own loop, that nobody can hold up."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.config import Listen
from bridge.credentials import Tls
from bridge.errors import BridgeError

REQUEST_TIME = 60.0
"""Seconds that a client has to send a request, headers and body; who drips it in only holds a connection."""


class ListenError(BridgeError):
    """An address cannot be listened on: another process has it, or it is not ours."""


class Listener(uvicorn.Server):
    """A uvicorn server inside our own loop: it starts when told, leaves signals alone and stops quickly."""

    def __init__(self, app: ASGIApp, listen: Listen, *, tls: Tls | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Impatient,
                host=listen.host,
                port=listen.port,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,
                ssl_certfile=None if tls is None else tls.cert,
                ssl_keyfile=None if tls is None else tls.key,
                ssl_ca_certs=None if tls is None or tls.ca is None else str(tls.ca),
                ssl_cert_reqs=2 if tls is not None and tls.ca is not None else 0,
            )
        )
        self.closing = asyncio.Event()
        """Set when it begins to close; a response without an end watches it."""
        self._listen = listen
        self._serving: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to one of its listeners."""
        yield

    @property
    def address(self) -> Listen:
        """Where it listens; with port 0, what the system chose."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return Listen(host, port)

    async def open(self) -> None:
        """Return when connections are taken. Raises: ListenError."""
        bound = await asyncio.to_thread(self._bind)  # a host's name may have to be looked up
        self._serving = asyncio.create_task(self.serve(sockets=[bound]), name=f"listener {self._listen.port}")
        while not self.started:
            if self._serving.done():
                self._serving.result()
                raise ListenError(f"cannot listen on {self._listen.host}:{self._listen.port}")
            await asyncio.sleep(0.005)

    def _bind(self) -> socket.socket:
        """Bound here, since uvicorn ends the process when it cannot. Raises: ListenError."""
        host, port = self._listen
        try:
            return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    async def close(self) -> None:
        """Finish requests under way, for a second at most."""
        self.closing.set()
        self.should_exit = True
        if self._serving is not None:
            await self._serving


class Exchangeable:
    """An application that can be replaced while it serves; requests under way finish with the one they began with.

    A defect of ours costs its request, and is told to `crashed` without the text it may have quoted.
    """

    def __init__(self, *, crashed: Callable[[str, Exception], None]) -> None:
        self.app: ASGIApp = PlainTextResponse("not ready\n", 503)
        self._crashed = crashed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            self._crashed(f"a request of the method {scope.get('method')}", error)
            if not started:
                await PlainTextResponse("a defect of ours\n", 500)(scope, receive, send)


class _Impatient(H11Protocol):
    """Closes a connection on which a request was begun and not ended in time; uvicorn itself would wait for ever."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._patience is None:
            self._wait()

    def on_response_complete(self) -> None:
        self._wait_no_more()  # until the next request begins, uvicorn's own time to keep alive counts
        super().on_response_complete()
        if self.cycle.more_body:  # of this one, answered early, or of the next, which was here already
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._patience = self.loop.call_later(REQUEST_TIME, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
