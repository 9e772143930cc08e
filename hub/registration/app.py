"""What phones call, over HTTP: JSON in, JSON out, the user's bearer token with each request.

POST   /{hub}{path}                       sign in; the answer has the registration id
GET    /{hub}{path}                       the topics that there are, and the user's phones
PUT    /{hub}{path}/{id}                  put the phone again
GET    /{hub}{path}/{id}                  what the user has on this phone
DELETE /{hub}{path}/{id}                  sign off
PUT    /{hub}{path}/{id}/topics/{topic}   subscribe, with a level where the topic has levels
DELETE /{hub}{path}/{id}/topics/{topic}   unsubscribe
POST   /{hub}{path}/{id}/reports          say what became of pushes
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api.request import json_object, read_body
from hub.api.wire.errors import REFUSALS
from hub.api.wire.reports import reports_in, taken_document
from hub.errors import InvalidRequestError, PayloadTooLargeError, StoreError
from hub.facts import PhoneAnswered
from hub.limiting import CallerLimit
from hub.observer import Observer
from hub.oidc.errors import ProviderError, TokenError
from hub.oidc.tokens import TokenCheck
from hub.phone import PhoneOperation, PhoneOutcome
from hub.registration.asked import MAX_BODY, asked_of, check_topic_name, level_asked
from hub.registration.errors import EngineError, RefusedError, throttled
from hub.registration.offer import User
from hub.registration.service import Answer, PhoneService
from hub.registration.views import phone_document, topics_document

PATTERN: Final = "pushbridge.route"
"""In a request's scope: what it is called in metrics."""

_PATIENCE: Final = 15.0
"""Seconds for an answer, once the request is read."""

_RETRY_AFTER: Final = 5
_TOO_MANY: Final = "Too many requests were refused: come again later"
_STATUSES: Final[Mapping[PhoneOutcome, int]] = {
    PhoneOutcome.DONE: 200,
    PhoneOutcome.UNCHANGED: 200,
    PhoneOutcome.TOOK_OVER: 200,
    PhoneOutcome.UNAUTHORIZED: 401,
    PhoneOutcome.FORBIDDEN_TAG: 403,
    PhoneOutcome.FORBIDDEN_PHONE: 403,
    PhoneOutcome.GONE: 410,
    PhoneOutcome.UNKNOWN_TOPIC: 404,
    PhoneOutcome.TOO_MANY_PHONES: 409,
    PhoneOutcome.INVALID: 400,
    PhoneOutcome.THROTTLED: 429,
    PhoneOutcome.UNAVAILABLE: 503,
}
_COUNTED: Final = frozenset({PhoneOutcome.UNAUTHORIZED, PhoneOutcome.FORBIDDEN_TAG, PhoneOutcome.FORBIDDEN_PHONE})
"""Refusals of which too many put the caller off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPhones:
    """The phones of a hub, and where below the hub's name they call; `path` begins with a slash."""

    path: str
    check: TokenCheck
    service: PhoneService


class PhonesApp:
    """Answers phones; what is not below a path of these hubs goes to `otherwise`.

    A user who was refused too often waits. An address from which too many came without a good token gets 429 for such; a
    good token is heard from there all the same, since many phones may share an address.
    """

    def __init__(
        self,
        hubs: Mapping[str, HubPhones],
        otherwise: ASGIApp,
        *,
        observer: Observer,
        burst: int = 20,
        refusal_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        self._hubs = hubs
        self._otherwise = otherwise
        self._observer = observer
        self._limit = CallerLimit(burst=burst, seconds=refusal_seconds, clock=clock)
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope)
        if found is None:
            await self._otherwise(scope, receive, send)
            return
        phones, segments = found
        scope[PATTERN] = f"/{{hub}}/phones{_pattern(segments)}"
        request = Request(scope, receive)
        try:
            response = await self._answer(phones, segments, request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[HubPhones, Sequence[str]] | None:
        """The hub, and the segments of the path below the hub's own; None for what is another's."""
        if scope["type"] != "http":
            return None
        _, _, rest = scope["path"].partition("/")
        name, slash, below = rest.partition("/")
        phones = self._hubs.get(name.lower())
        if phones is None or not f"{slash}{below}/".startswith(f"{phones.path}/"):
            return None
        tail = f"{slash}{below}".removeprefix(phones.path).removesuffix("/")
        return phones, tail.split("/")[1:]

    async def _answer(self, phones: HubPhones, segments: Sequence[str], request: Request) -> Response:
        if b"%" in request.scope.get("raw_path", b""):  # all that a path may hold here is written as it is
            return _problem(404, "not_found", "There is no such resource")
        match request.method, segments:
            case "POST", []:
                return await self._run(phones, PhoneOperation.REGISTER, request, _register)
            case "GET", []:
                return await self._run(phones, PhoneOperation.SHOW, request, _overview)
            case "PUT", [id_]:
                return await self._run(phones, PhoneOperation.UPDATE, request, _Update(id_))
            case "GET", [id_]:
                return await self._run(phones, PhoneOperation.SHOW, request, _Show(id_))
            case "DELETE", [id_]:
                return await self._run(phones, PhoneOperation.SIGN_OFF, request, _SignOff(id_))
            case "PUT", [id_, "topics", topic]:
                return await self._run(phones, PhoneOperation.SUBSCRIBE, request, _Subscribe(id_, topic))
            case "DELETE", [id_, "topics", topic]:
                return await self._run(phones, PhoneOperation.UNSUBSCRIBE, request, _Unsubscribe(id_, topic))
            case "POST", [id_, "reports"]:
                return await self._run(phones, PhoneOperation.REPORT, request, _Report(id_))
            case _, [] | [_] | [_, "topics", _] | [_, "reports"]:
                return _problem(405, "method_not_allowed", "This cannot be done with this resource")
            case _:
                return _problem(404, "not_found", "There is no such resource")

    async def _run(self, phones: HubPhones, operation: PhoneOperation, request: Request, act: "_Act") -> Response:
        """Whose token, what was asked, what became of it; one fact."""
        detail = ""
        try:
            user = await self._user(phones, request)
            body = await read_body(request, most=MAX_BODY)
            async with asyncio.timeout(self._patience):
                outcome, document = await self._counted(user, act(phones.service, user, body))
            response = _json(_STATUSES[outcome], document)
        except RefusedError as error:
            outcome = error.outcome
            detail = error.cause if isinstance(error, EngineError) else str(error)
            response = _refusal(error)
        except InvalidRequestError as error:
            outcome = PhoneOutcome.INVALID
            response = _problem(413 if isinstance(error, PayloadTooLargeError) else 400, outcome.value, str(error))
        except (StoreError, TimeoutError) as error:
            outcome, detail = PhoneOutcome.UNAVAILABLE, str(error) or "no answer in time"
            response = _refusal(RefusedError(outcome, "The hub is not available at the moment"))
        self._observer.observe(
            PhoneAnswered(hub=phones.service.hub, operation=operation, outcome=outcome, detail=detail)
        )
        return response

    async def _user(self, phones: HubPhones, request: Request) -> User:
        """Raises: RefusedError."""
        address = f"address {'' if request.client is None else request.client.host}"
        try:
            claims = await phones.check.claims(request.headers.get("authorization"))
        except ProviderError as error:
            raise EngineError(str(error)) from error
        except TokenError as error:
            wait = self._limit.wait_for(address)
            self._limit.count(address)
            request.scope.get(REFUSALS, []).append(error.flaw.value)
            if wait:
                raise throttled(_TOO_MANY, wait) from error
            raise RefusedError(PhoneOutcome.UNAUTHORIZED, f"{error.flaw.value}: {error}") from error
        return phones.service.offer.user_of(claims)

    async def _counted(self, user: User, work: Awaitable["_Done"]) -> "_Done":
        """Raises: RefusedError, and what the work raises."""
        caller = f"user {user.id}"
        if wait := self._limit.wait_for(caller):
            if asyncio.iscoroutine(work):
                work.close()
            raise throttled(_TOO_MANY, wait)
        try:
            return await work
        except RefusedError as error:
            if error.outcome in _COUNTED:
                self._limit.count(caller)
            raise


_Done = tuple[PhoneOutcome, Mapping[str, Any] | None]
_Act = Callable[[PhoneService, User, bytes], Awaitable[_Done]]


async def _register(service: PhoneService, user: User, body: bytes) -> _Done:
    return _shown(await service.register(user, asked_of(json_object(body), user)))


async def _overview(service: PhoneService, user: User, body: bytes) -> _Done:
    phones = [phone_document(answer) for answer in await service.phones_of(user)]
    return PhoneOutcome.DONE, {"topics": topics_document(service.offer.topics), "phones": phones}


@dataclass(frozen=True, slots=True)
class _Update:
    id: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        return _shown(await service.register(user, asked_of(json_object(body), user, registration_id=self.id)))


@dataclass(frozen=True, slots=True)
class _Show:
    id: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        return _shown(await service.show(user, self.id))


@dataclass(frozen=True, slots=True)
class _SignOff:
    id: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        was_signed_in = await service.sign_off(user, self.id)
        return PhoneOutcome.DONE if was_signed_in else PhoneOutcome.UNCHANGED, None


@dataclass(frozen=True, slots=True)
class _Subscribe:
    id: str
    topic: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        check_topic_name(self.topic)
        level = level_asked(json_object(body)) if body.strip() else ""
        return _shown(await service.subscribe(user, self.id, self.topic, level))


@dataclass(frozen=True, slots=True)
class _Unsubscribe:
    id: str
    topic: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        check_topic_name(self.topic)
        return _shown(await service.unsubscribe(user, self.id, self.topic))


@dataclass(frozen=True, slots=True)
class _Report:
    id: str

    async def __call__(self, service: PhoneService, user: User, body: bytes) -> _Done:
        taken = await service.report(user, self.id, reports_in(json_object(body)))
        return PhoneOutcome.DONE, taken_document(taken)


def _shown(answer: Answer) -> _Done:
    return answer.outcome, phone_document(answer)


def _pattern(segments: Sequence[str]) -> str:
    match segments:
        case []:
            return ""
        case [_]:
            return "/{id}"
        case [_, "topics", _]:
            return "/{id}/topics/{topic}"
        case [_, "reports"]:
            return "/{id}/reports"
        case _:
            return "/_other"


def _refusal(error: RefusedError) -> Response:
    response = _problem(_STATUSES[error.outcome], error.outcome.value, str(error))
    if error.outcome is PhoneOutcome.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if error.outcome in (PhoneOutcome.UNAVAILABLE, PhoneOutcome.THROTTLED):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or _RETRY_AFTER)))
    return response


def _problem(status: int, error: str, message: str) -> Response:
    return _json(status, {"error": error, "message": message})


def _json(status: int, document: Mapping[str, Any] | None) -> Response:
    if document is None:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(document), status, headers, media_type="application/json; charset=utf-8")
