"""What the listeners for operators, probes and events serve, and to whom; `hub/api/app.py` is the fourth."""

import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.admin.api.operation import PREFIX
from bridge.admin.api.problems import problem_response
from bridge.admin.api.routes import PATTERN, too_little
from bridge.admin.callers import Callers
from bridge.admin.health import Part, is_ready, lines, missing_at, parts_at
from bridge.admin.roles import ANYBODY_HERE, CALLER, Caller, Role
from bridge.admin.scrapes import SharedScrapes
from bridge.config.models.admin_auth import AdminAuth
from bridge.observe.metrics import Metrics

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_NAMES = _LOOPBACK | {"localhost"}
_ONLY_HERE = "only from this machine, unless listeners.admin.auth is set\n"
OPEN_PATHS = frozenset({"/livez", "/readyz", "/startupz"})
"""Health: asked for by machines that have no token."""

PROBES_PATHS = OPEN_PATHS | {"/metrics"}
"""What the listener for probes answers while it is over its limits."""

_OPEN_BELOW, _COMMANDS_BELOW = "/readyz/", "/-/"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Health = Callable[[], Sequence[Part]]


def health_routes(metrics: Metrics, *, health: Health, before_scrape: Callable[[], Awaitable[None]]) -> Sequence[Route]:
    """Whether the process lives, has started and is ready, and what it counts.

    They are served from the moment that everything has started, and before that answered 503 as all paths are.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def startupz(request: Request) -> Response:
        return PlainTextResponse("started\n")

    async def readyz(request: Request) -> Response:
        parts = health()
        return _parts_response(lines(parts), ready=is_ready(parts))

    async def readyz_part(request: Request) -> Response:
        """Of the parts asked for: 200 if all of them work, else 503; 404 if there is none of that name."""
        path, known = request.path_params["part"], health()
        parts = parts_at(known, path)
        if not parts and (missing := missing_at(known, path)):
            return PlainTextResponse(f"{missing}\n", 404)
        return _parts_response([part.line for part in parts] or ["none"], ready=all(part.ok for part in parts))

    async def exposition() -> bytes:
        await before_scrape()
        return await metrics.exposition()

    scrapes = SharedScrapes(exposition)

    async def scrape(request: Request) -> Response:
        return Response(await scrapes.answer(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return [
        Route("/livez", livez),
        Route("/startupz", startupz),
        Route("/readyz", readyz),
        Route("/readyz/{part:path}", readyz_part),
        Route("/metrics", scrape),
    ]


def admin_app(
    routes: Sequence[BaseRoute],
    public: Sequence[Route],
    health: Sequence[Route],
    *,
    metrics: Metrics,
    auth: AdminAuth | None,
) -> ASGIApp:
    """Health for all, `public` routes by their own rules, everything else for administrators alone.

    Administrators show what `auth` asks for; without `auth` they are those who come from this machine.
    """
    app = Starlette(routes=[*health, *public, *routes])
    open_paths = OPEN_PATHS | {route.path for route in public}
    return RequestMetrics(_AdminAuth(app, auth=auth, open_paths=open_paths), metrics, app.routes)


def open_app(routes: Sequence[Route], *, metrics: Metrics) -> ASGIApp:
    """These routes and nothing else, each by its own rules: health for probes, or HTTP sources."""
    return RequestMetrics(Starlette(routes=routes), metrics, routes)


def _parts_response(lines: Sequence[str], *, ready: bool) -> Response:
    return PlainTextResponse("".join(f"{line}\n" for line in lines), 200 if ready else 503)


class _AdminAuth:
    """Lets only administrators beyond the open paths."""

    def __init__(self, app: ASGIApp, *, auth: AdminAuth | None, open_paths: frozenset[str]) -> None:
        self._app = app
        self._callers = None if auth is None else Callers(auth)
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            found = await self._asked(Headers(scope=scope), scope)
            if isinstance(found, Response):
                await _as_problem(scope["path"], found)(scope, receive, send)
                return
            scope[CALLER] = found
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(_OPEN_BELOW)

    async def _asked(self, headers: Headers, scope: Scope) -> Caller | Response:
        """Who asks, or why not. A request that a page of another site makes a browser send comes from this machine too."""
        if _is_from_another_site(headers, scope["method"]):
            return PlainTextResponse("not from another site\n", 403)
        if self._callers is None:
            client = scope.get("client")
            is_ours = client is not None and client[0] in _LOOPBACK and _hostname(headers) in _LOOPBACK_NAMES
            if not is_ours:
                return PlainTextResponse(_ONLY_HERE, 403)
            return ANYBODY_HERE
        caller = await self._callers.caller(scope)
        return caller if isinstance(caller, Response) else _checked(caller, scope["path"])


def _checked(caller: Caller, path: str) -> Caller | Response:
    """The caller, or why not: to reload is no operation of the API, and needs a role as well."""
    if path.startswith(_COMMANDS_BELOW) and caller.role < Role.OPERATOR:
        return PlainTextResponse(f"{too_little(caller, Role.OPERATOR)}\n", 403)
    return caller


def _as_problem(path: str, refusal: Response) -> Response:
    """The same as a problem, where the API is asked."""
    if not path.startswith(f"{PREFIX}/"):
        return refusal
    problem = problem_response(refusal.status_code, bytes(refusal.body).decode().strip())
    if retry_after := refusal.headers.get("retry-after"):
        problem.headers["retry-after"] = retry_after
    for challenge in refusal.headers.getlist("www-authenticate"):
        problem.headers.append("www-authenticate", challenge)
    return problem


def _is_from_another_site(headers: Headers, method: str) -> bool:
    """Whether another site's page asks; a link that a user follows to our page may come from anywhere."""
    origin = headers.get("origin")
    if origin is not None:
        return _split(origin).netloc != headers.get("host")
    is_link = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_link


def _hostname(headers: Headers) -> str:
    """The name that was asked for: another than ours is DNS rebinding."""
    return _split(f"//{headers.get('host', '')}").hostname or ""


def _split(url: str) -> SplitResult:
    """Its parts, all empty of what is no URL."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


class RequestMetrics:
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

        self._metrics.process.http_in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.process.http_in_flight.dec()
            route = scope.get(PATTERN) or self._pattern(scope["path"])
            method = scope["method"] if scope["method"] in _METHODS else "_other"
            self._metrics.process.http_requests.labels(route, method, str(status)).inc()
            self._metrics.process.http_seconds.observe((route,), time.perf_counter() - started)

    def _pattern(self, path: str) -> str:
        """The admin paths are literal; the hub API's begin with a hub's name and a kind of resource."""
        known = self._patterns.get(path)
        if known is not None:
            return known
        if self._patterns and path.startswith(_OPEN_BELOW):
            return "/readyz/{part}"
        parts = path.strip("/").split("/")
        if not self._patterns and len(parts) > 1 and parts[1].lower() in ("installations", "messages", "registrations"):
            return f"/{{hub}}/{parts[1].lower()}" + ("/{id}" if len(parts) > 2 else "")
        return "_other"
