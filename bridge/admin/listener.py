"""How the process listens: an HTTP server in its own loop, which no client can hold up."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.admin.connections import Admission, ConnectionLimits, IdleConnections, Standing, client_of
from bridge.admin.http1 import REQUEST_TIME, Http1Protocol
from bridge.config.models.credentials import ListenerTls
from bridge.config.models.listeners import Listen
from bridge.errors import BridgeError
from bridge.logger import structlog
from bridge.observe.facts import Limit
from bridge.web_server import uvicorn

_REFUSED_HEAD = 2.0
"""Seconds that a connection over the limit has for its header: it holds one of few places."""

_TLS_GOODBYE = 2.0
"""Seconds that a client has to take part in the end of TLS."""

_WARN_EVERY = 60.0
_BACKLOG = 2048
_NO_DESCRIPTOR = 0.1
"""Seconds until the next look for connections when one could not be accepted."""

_GOODBYE = 1.0
"""Seconds that requests under way have when the listener closes."""

_TOO_MANY = "too many connections\n"
_RETRY_AFTER = {"retry-after": "5"}

_log = structlog.get_logger("pushbridge")


class ListenError(BridgeError):
    """An address cannot be listened on: another process has it, or it is not ours."""


class Listener(uvicorn.Server):
    """A uvicorn server inside our own loop: it starts when `open` is called, leaves signals alone and stops quickly.

    At a limit the connection that has been idle longest makes room for a new one. Where none is idle, a connection over the
    limits is answered 503 or closed; requests for `always` are answered all the same. A client has `request_time` seconds
    for each request. The listener accepts connections itself, because uvicorn counts one only after its TLS handshake, and
    who never begins one never.
    """

    def __init__(
        self,
        app: ASGIApp,
        listen: Listen,
        *,
        tls: ListenerTls | None = None,
        name: str = "listener",
        limits: ConnectionLimits = ConnectionLimits(),
        always: frozenset[str] = frozenset(),
        on_refused: Callable[[Limit], None] = lambda _: None,
        request_time: float = REQUEST_TIME,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Http1Protocol,
                host=listen.host,
                port=listen.port,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=limits.idle,  # type: ignore[arg-type]  # a number of seconds for call_later
                forwarded_allow_ips=["127.0.0.1", "::1"],  # not what the environment says
            )
        )
        self.closing = asyncio.Event()
        """Set when it begins to close; a response without an end watches it."""
        self.admission = Admission(limits, on_refused=on_refused)
        self._idle = IdleConnections()
        self.name = name
        self.address = listen
        """Where it listens; with port 0, once it is open, what the system chose."""
        self.tls = None if tls is None else tls.server_context()
        """What new connections are secured by; see `exchange_tls`."""
        self._listen = listen
        self._always = always
        self._request_time = request_time
        self._serving: asyncio.Task[None] | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._warned_at = -_WARN_EVERY

    @property
    def authority(self) -> str:
        """`address` as a URL has it."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to one of its listeners."""
        yield

    def exchange_tls(self, context: ssl.SSLContext) -> None:
        """Secure new connections by another context. Who showed a certificate to the one before has to connect again."""
        self.tls = context
        for connection in list(self.server_state.connections):
            if isinstance(connection, Http1Protocol):
                connection.prove_again()

    async def open(self) -> None:
        """Return when connections are taken. Raises: ListenError."""
        bound = await asyncio.to_thread(self._bind)  # a host's name may have to be looked up
        self.address = Listen(*bound.getsockname()[:2])
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
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
            # Accepted sockets inherit it. asyncio sets it only where a socket names its protocol, which this one does not,
            # and then the body of an answer waits 40 ms for the client to acknowledge the head.
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound.setblocking(False)
            return bound
        except OSError as error:
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but with our own way to accept."""
        assert sockets is not None
        self.servers = []
        self._accepting = asyncio.create_task(self._accept(sockets[0]), name=f"{self.name} accepting")
        self.started = True

    async def main_loop(self) -> None:
        """As uvicorn's, but awake once a second for the date, not ten times to see whether it is time to end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.closing.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but without a wait where nothing is under way; connections that are not yet made end."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for bound in sockets or ():
            bound.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
        for task in state.tasks:
            task.cancel("the listener closes")

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(bound)
            except OSError as error:  # no descriptor is left, or who came has gone
                self._warn("connections cannot be accepted", error=str(error))
                await asyncio.sleep(_NO_DESCRIPTOR)
                continue
            if (limit := self.admission.limit_reached(address)) is not None:
                self._idle.make_room(limit, client_of(address))
            standing = self.admission.admit(address)
            if standing is not Standing.ADMITTED:
                self._warn("connections refused", detail=self.admission.trouble)
            if standing is Standing.CLOSED:
                connection.close()
            else:
                task = asyncio.create_task(self._connect(connection, address, standing))
                self._handshakes.add(task)
                task.add_done_callback(self._handshakes.discard)
            await asyncio.sleep(0)  # many at once leave others their turn

    async def _connect(self, connection: socket.socket, address: str, standing: Standing) -> None:
        """From an accepted connection to its protocol, which says when it ends."""
        head_time = self.admission.limits.head if standing is Standing.ADMITTED else _REFUSED_HEAD
        secure = {"ssl_handshake_timeout": head_time, "ssl_shutdown_timeout": _TLS_GOODBYE} if self.tls else {}

        client = client_of(address)

        def protocol() -> asyncio.Protocol:
            made = Http1Protocol(self.config, self.server_state, self.lifespan.state)
            made.head_time = head_time
            made.request_time = self._request_time
            if standing is not Standing.ADMITTED:
                made.app = _Refusing(made.app, self._always)
            else:
                made.on_idle = lambda is_idle: self._idle.add(made, client) if is_idle else self._idle.remove(made)
            made.on_lost = partial(self.admission.leave, address, standing)
            return made

        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(protocol, connection, ssl=self.tls, **secure)
        except OSError:  # a handshake that failed (SSLError) or took too long; the loop has closed the connection
            self.admission.leave(address, standing)

    def _warn(self, event: str, **more: str) -> None:
        """Not for each connection: who floods a listener shall not flood the log."""
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            _log.warning(event, listener=self.name, **more)

    async def close(self) -> None:
        """Finish requests under way, for a second at most."""
        self.closing.set()
        self.should_exit = True
        if self._serving is not None:
            await self._serving


class SwappableApp:
    """An application that can be replaced while it serves; requests under way finish with the one they began with.

    A defect of ours costs its request, and `crashed` gets it without the text it may have quoted.
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


class _Refusing:
    """Answers 503 on a connection over the limit, but for `always`; each such connection carries one request."""

    def __init__(self, app: ASGIApp, always: frozenset[str]) -> None:
        self._app = app
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        app = self._app if scope["path"] in self._always else PlainTextResponse(_TOO_MANY, 503, _RETRY_AFTER)
        await app(scope, receive, closing)
