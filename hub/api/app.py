"""The wire API as an ASGI application; each file of operations brings its routes."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from random import getrandbits

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.access import AccessPolicy, HubAccess
from hub.api.bearer import BearerTokens
from hub.api.gate import Gate
from hub.api.resources.feedback import Feedback
from hub.api.resources.installations import Installations
from hub.api.resources.jobs import Jobs
from hub.api.resources.messages import Messages
from hub.api.resources.registrations import Registrations
from hub.api.resources.reports import PhoneReports
from hub.api.service import HubService
from hub.api.wire.errors import REFUSALS, ApiError, ForbiddenError, UnauthorizedError, response_for
from hub.errors import HubError
from hub.trace_context import TraceContext, trace_from

_TRACKING_ID = re.compile(r"[A-Za-z0-9_.{}-]{1,64}")


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    service: HubService,
    hubs: Mapping[str, HubAccess],
    *,
    policies: Sequence[AccessPolicy] = (),
    hosts: Collection[str] = (),
    clock: Callable[[], datetime] = utc_now,
    trace: Callable[[Mapping[str, str]], TraceContext] = trace_from,
    keeps_origins: bool = True,
) -> ASGIApp:
    """The API for `hubs`, to be served over TLS at the root of a host: the SDKs allow neither plain HTTP nor a prefix.

    `policies` hold for all hubs (the namespace's, in Azure's words); `hosts` are further names of this server that
    tokens may be made out to. `trace` gives the trace of a send by the headers of its request. Of
    events that another pushbridge took nothing is kept unless `keeps_origins`.
    """
    gate = Gate(hubs, policies=policies, hosts=hosts, clock=clock)

    def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, UnauthorizedError | ForbiddenError):
            request.scope.get(REFUSALS, []).append(error.kind)
        return response_for(error, tracking_id=request.state.tracking_id, now=clock())

    def forget(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # the client is gone

    app = Starlette(
        routes=routes(service, gate, clock=clock, trace=trace, keeps_origins=keeps_origins),
        exception_handlers={
            ApiError: answer,
            HubError: answer,
            HTTPException: answer,
            ClientDisconnect: forget,
            Exception: answer,
        },
    )
    app.router.redirect_slashes = False
    return _Tracking(BearerTokens(_LenientPath(app), hubs, clock=clock))


def routes(
    service: HubService,
    gate: Gate,
    *,
    clock: Callable[[], datetime] = utc_now,
    trace: Callable[[Mapping[str, str]], TraceContext] = trace_from,
    keeps_origins: bool = True,
) -> list[Route]:
    """Every operation, with the path that its specification gives it."""
    return [
        *Installations(service, gate).routes(),
        *Registrations(service, gate, clock=clock).routes(),
        *Feedback(service, gate).routes(),
        *PhoneReports(service, gate).routes(),
        *Jobs(service, gate, clock=clock).routes(),
        *Messages(service, gate, clock=clock, trace=trace, keeps_origins=keeps_origins).routes(),
    ]


def _new_id() -> str:
    """A UUID of version 4 that names a request and guards nothing; `uuid.uuid4` takes four times as long."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class _LenientPath:
    """Makes one path of what the SDKs spell in several ways: `/Hub/Messages/` is `/Hub/messages`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root, *rest = scope["path"].removesuffix("/").split("/")
            if len(rest) > 1:
                rest[1] = rest[1].lower()
                if rest[1] == "tags":
                    rest[-1] = rest[-1].lower()
            scope = {**scope, "path": "/".join([root, *rest]) or "/"}
        await self._app(scope, receive, send)


class _Tracking:
    """Gives every request a tracking id, the client's if it sent one, and every response the headers that name it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("trackingid", "")
        tracking_id = given if _TRACKING_ID.fullmatch(given) else _new_id()

        async def send_tracked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["TrackingId"] = tracking_id
                headers["x-ms-correlation-request-id"] = _new_id()
            await send(message)

        await self._app(
            {**scope, "state": {**scope.get("state", {}), "tracking_id": tracking_id}}, receive, send_tracked
        )
