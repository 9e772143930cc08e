"""The two listeners: health, metrics, console and HTTP sources on one, the hub API on the other."""

import asyncio
import base64
import contextlib
import hmac
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from urllib.parse import urlsplit

import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.config import Listen
from bridge.credentials import Tls
from bridge.errors import BridgeError
from bridge.metrics import Metrics

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_NAMES = _LOOPBACK | {"localhost"}
_ONLY_HERE = "only from this machine, unless bridge.http.admin_token is set\n"
_OPEN_PATHS = frozenset({"/livez", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Readiness = Callable[[], tuple[bool, Sequence[str]]]


class ListenError(BridgeError):
    """An address cannot be listened on: another process has it, or it is not ours."""


class Listener(uvicorn.Server):
    """A uvicorn server inside our own loop: it starts when told, leaves signals alone and stops quickly."""

    def __init__(self, app: ASGIApp, listen: Listen, *, tls: Tls | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
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
    """An application that can be replaced while it serves; requests under way finish with the one they began with."""

    def __init__(self) -> None:
        self.app: ASGIApp = PlainTextResponse("not ready\n", 503)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def admin_app(
    routes: Sequence[BaseRoute],
    public: Sequence[Route],
    *,
    metrics: Metrics,
    readiness: Readiness,
    before_scrape: Callable[[], Awaitable[None]],
    token: str | None,
) -> ASGIApp:
    """Health for all, `public` routes by their own rules, everything else for whoever may administer.

    That is who shows the token; without a token, who comes from this machine.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        ready, lines = readiness()
        return PlainTextResponse("".join(f"{line}\n" for line in lines), 200 if ready else 503)

    async def scrape(request: Request) -> Response:
        await before_scrape()
        return Response(await metrics.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    app = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
            *public,
            *routes,
        ]
    )
    open_paths = _OPEN_PATHS | {route.path for route in public}
    return Observed(_Guarded(app, token=token, open_paths=open_paths), metrics, app.routes)


class _Guarded:
    """Lets only administrators beyond the open paths."""

    def __init__(self, app: ASGIApp, *, token: str | None, open_paths: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            refusal = self._refusal(Headers(scope=scope), scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: Headers, scope: Scope) -> Response | None:
        """Why not, or None. A browser that some other site has told to ask comes from this machine, but not from us."""
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return PlainTextResponse("not from another site\n", 403)
        if self._token is None:
            client = scope.get("client")
            is_ours = client is not None and client[0] in _LOOPBACK and _hostname(headers) in _LOOPBACK_NAMES
            return None if is_ours else PlainTextResponse(_ONLY_HERE, 403)
        if hmac.compare_digest(_shown_token(headers.get("authorization", "").encode("latin-1")), self._token.encode()):
            return None
        refusal = PlainTextResponse("a token is needed\n", 401)
        for challenge in ("Bearer", 'Basic realm="pushbridge", charset="UTF-8"'):
            refusal.headers.append("www-authenticate", challenge)
        return refusal


def _hostname(headers: Headers) -> str:
    """The name that was asked for: another than ours is DNS rebinding."""
    return urlsplit(f"//{headers.get('host', '')}").hostname or ""


def _shown_token(authorization: bytes) -> bytes:
    """The token of a bearer (RFC 6750), or the password of whatever user (RFC 7617), since a browser can show no other."""
    scheme, _, credentials = authorization.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return credentials
        case b"basic":
            try:
                return base64.b64decode(credentials, validate=True).partition(b":")[2]
            except ValueError:
                return b""
        case _:
            return b""


class Observed:
    """Counts and times requests by the pattern of their route, never by their path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._patterns = {route.path: route.path for route in routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.http_in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.http_in_flight.dec()
            route = self._pattern(scope["path"])
            method = scope["method"] if scope["method"] in _METHODS else "_other"
            self._metrics.http_requests.labels(route, method, str(status)).inc()
            self._metrics.http_seconds.observe((route,), time.perf_counter() - started)

    def _pattern(self, path: str) -> str:
        """The admin paths are literal; the hub API's begin with a hub's name and a kind of resource."""
        known = self._patterns.get(path)
        if known is not None:
            return known
        parts = path.strip("/").split("/")
        if not self._patterns and len(parts) > 1 and parts[1].lower() in ("installations", "messages", "registrations"):
            return f"/{{hub}}/{parts[1].lower()}" + ("/{id}" if len(parts) > 2 else "")
        return "_other"
