"""From a request to an operation and back: checks what comes in, and answers in JSON or with a problem."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.admin.api import (
    audit,
    backups,
    channels,
    dead_letters,
    devices,
    events,
    hubs,
    importing,
    journal,
    mirror,
    notifications,
    phones,
    playground,
    silences,
    statistics,
    status,
    trace,
    users,
)
from bridge.admin.api.openapi import ACTOR_HEADER, document
from bridge.admin.api.operation import PREFIX, Call, Management, Model, Operation
from bridge.admin.api.problems import Mistake, ProblemError, invalid, problem_response, response_for
from bridge.admin.rest import REST
from bridge.admin.roles import ANYBODY_HERE, CALLER, Caller, Role
from hub.api.request import read_body
from hub.characters import without_mark
from hub.errors import HubError

OPERATIONS: Sequence[Operation] = (
    *status.OPERATIONS,
    *events.OPERATIONS,
    *journal.OPERATIONS,
    *trace.OPERATIONS,
    *dead_letters.OPERATIONS,
    *hubs.OPERATIONS,
    *devices.OPERATIONS,
    *channels.OPERATIONS,
    *importing.OPERATIONS,
    *mirror.OPERATIONS,
    *phones.OPERATIONS,
    *notifications.OPERATIONS,
    *silences.OPERATIONS,
    *statistics.OPERATIONS,
    *audit.OPERATIONS,
    *backups.OPERATIONS,
    *users.OPERATIONS,
    *playground.OPERATIONS,
)

DOCUMENT_PATH = f"{PREFIX}/openapi.json"
PATTERN = "pushbridge.route"
"""Where a request's scope says its route, for metrics: paths have ids."""

_MAX_ACTOR = 100
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_READ_ONLY = "this needs the role {}, and who asks without a token is a viewer: set listeners.admin.auth"

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(management: Management, *, caller: Caller | None = None) -> list[Route]:
    """All of `/api/v1`; who asks is `caller`, else what was decided before and is in each request's scope."""
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in OPERATIONS:
        by_path[operation.path][operation.method] = operation
    # `/dead-letters/drop` is no id, and `/notifications/ID/cancel` none with a slash.
    ordered = sorted(by_path.items(), key=lambda item: (item[0].count("{"), item[0].endswith("}")))
    return [
        Route(DOCUMENT_PATH, _document, methods=["GET"]),
        *(_route(PREFIX + path, _endpoint(management, path, methods, caller)) for path, methods in ordered),
        _route(f"{PREFIX}/{{rest:{REST}}}", _unknown),
    ]


def _route(path: str, endpoint: Endpoint) -> Route:
    """An id may hold slashes, so it takes all of a path up to what follows it."""
    whole = path.replace("/{id}", f"/{{id:{REST}}}")
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route(whole, endpoint, methods=methods)


async def _document(request: Request) -> Response:
    return Response(_document_bytes(), headers=_HEADERS, media_type="application/json")


@cache
def _document_bytes() -> bytes:
    return orjson.dumps(document(OPERATIONS))


async def _unknown(request: Request) -> Response:
    request.scope[PATTERN] = PREFIX
    return problem_response(404, f"nothing is at {request.url.path[:200]}; {DOCUMENT_PATH} says what there is")


def _endpoint(management: Management, path: str, methods: Mapping[str, Operation], caller: Caller | None) -> Endpoint:
    async def answer(request: Request) -> Response:
        request.scope[PATTERN] = PREFIX + path
        operation = methods.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            allowed = ", ".join(methods)
            return problem_response(
                405, f"{request.method} is not allowed here; {allowed} is", headers={"allow": allowed}
            )
        try:
            call = await _call(management, operation, request, caller or request.scope.get(CALLER, ANYBODY_HERE))
            async with asyncio.timeout(operation.patience):
                result = await operation.run(call)
        except ProblemError as error:
            return problem_response(error.status, str(error), errors=error.errors)
        except HubError as error:
            return response_for(error)
        except TimeoutError:
            return problem_response(503, f"no answer for {operation.patience:g} s", headers={"retry-after": "5"})
        return Response(result.model_dump_json(), operation.status, headers=_HEADERS, media_type="application/json")

    return answer


async def _call(management: Management, operation: Operation, request: Request, caller: Caller) -> Call:
    """Raises: ProblemError; HubError: the body is too large."""
    if caller.role < operation.least_role:
        raise ProblemError(403, too_little(caller, operation.least_role))
    body = None
    if operation.body is not None:
        body = _checked(operation.body, _json(await read_body(request, most=operation.max_body)), what="body")
    return Call(
        management=management,
        path=request.path_params,
        query=_checked(operation.query, _query(request), what="query"),
        body=body,
        actor=caller.name or _actor(request, named=operation.needs_name),
        role=caller.role,
    )


def too_little(caller: Caller, least: Role) -> str:
    """What is said to somebody whose role is less than this needs."""
    if caller is ANYBODY_HERE:
        return _READ_ONLY.format(least.word)
    return f"this needs the role {least.word}, and {caller.name} is {caller.role.word}"


def _query(request: Request) -> Mapping[str, str]:
    """Raises: ProblemError: a parameter is there twice, of which one would count for nothing."""
    found = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in found.items():
        if count > 1:
            detail = f"is there {count} times"
            raise ProblemError(400, f"query: {name}: {detail}", errors=[Mistake(where=name, detail=detail)])
    return dict(request.query_params)


def _json(body: bytes) -> object:
    try:
        return orjson.loads(without_mark(body))
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"body: not JSON: {error}") from error


def _checked(model: type[Model], content: object, *, what: str) -> Model:
    """Raises: ProblemError."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error, what=what, known=list(model.model_fields)) from error


def _actor(request: Request, *, named: bool) -> str:
    """Who says to ask; `named`: the client has to say so. Raises: ProblemError."""
    actor = request.headers.get(ACTOR_HEADER, "" if named else "admin").strip()
    if not 0 < len(actor) <= _MAX_ACTOR or not actor.isprintable():
        raise ProblemError(400, f"{ACTOR_HEADER}: write 1 to {_MAX_ACTOR} printable characters")
    return actor
