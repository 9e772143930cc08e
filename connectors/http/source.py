"""A source that is posted to: a request is a message, and its answer says how the message was settled."""

import asyncio
import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import NACK, Backlog, Disposition, Message, Settlement
from connectors.compression import SUPPORTED, CodingError, UnpackedTooLargeError, UnsupportedCodingError, unpacked
from connectors.connector import MAX_BODY
from connectors.errors import NotConnectedError
from connectors.http.auth import RefusedError, SenderCheck, UndecidedError
from connectors.http.modes import (
    MAX_ID,
    Mode,
    Part,
    challenge_of,
    cloudevents_mode,
    id_in,
    parts_of,
    validation_code,
)
from connectors.http.origin import consent, is_preflight, is_refused
from connectors.http.settings import HttpSettings
from connectors.http.signature import SignatureCheck, SignatureError

MAX_EVENTS = 5000
"""The most events a batch may hold; Event Grid sends no more."""

_LARGE = 16 * 1024
"""Bytes of a batch above which to take it apart would hold the event loop for milliseconds."""

_LARGE_TO_HASH = 256 * 1024
"""Bytes of a body above which its signature is checked beside the event loop; a thread costs as much as 64 KiB."""

_LOOK_EVERY = 0.25
"""Seconds between two looks, while a request waits, whether it can be taken at all."""

_FAILING = "events cannot be stored at the moment; send it again"
_FULL = "too many notifications wait for push services; send it again"
_RETRY_AFTER = {"retry-after": "5"}
_CREDENTIALS = frozenset(
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "aeg-sas-key", "aeg-sas-token"]
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _NotNowError(Exception):
    """What waits cannot be kept at the moment; the text says why."""


class HttpSource:
    """Messages from HTTP requests; the process's server mounts `route()`.

    A request is answered once its message is settled, that is, once everything it caused is in the store:

        202  taken: `outcome` says whether it was accepted (with its rules and notifications), found no rule, was a
             duplicate, or is kept as a dead letter; what of it failed is under `failures`, and kept
        400  rejected, and not kept: it cannot be read; sending it again will not help
        503  not now (too many in flight, not connected, shutting down, not settled in time): the sender repeats it,
             and the event's identity makes the repetition harmless
        429  more events come than the source's rate allows: Retry-After says when one may come again
        401 403 405 413 415  refused at the door: nothing of it is kept

    A batch is several messages and one answer, with a result for each event. A single event that has to come again
    makes it 503, as senders repeat batches whole (Event Grid: "all or none"). What cannot be read in a batch is kept as a
    dead letter: a sender that got 400 would dead-letter the good events with it.

    A body over `max_body` bytes, packed or unpacked, is refused. While `store_fails`, and while nothing `has_room`,
    requests are answered with 503 at once, those that wait too.
    `receive` waits `idle_wait` seconds for a first message.
    """

    def __init__(
        self,
        name: str,
        settings: HttpSettings,
        *,
        now: Callable[[], datetime] = _utc_now,
        store_fails: Callable[[], bool] = lambda: False,
        has_room: Callable[[], bool] = lambda: True,
        admit: Callable[[int], float] = lambda count: 0.0,
        ahead: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        max_body: int = MAX_BODY,
        idle_wait: float = 1.0,
    ) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._now = now
        self._store_fails = store_fails
        self._has_room = has_room
        self._admit = admit
        self._ahead = ahead
        self._max_body = max_body
        self._idle_wait = idle_wait
        self._senders = SenderCheck(settings.auth, realm=name, now=lambda: now().timestamp())
        signed_by = None if settings.auth is None or settings.auth.hmac is None else settings.auth.hmac.scheme
        # A signature is good again for who reads it in a dead letter.
        self._left_out = _CREDENTIALS if signed_by is None else _CREDENTIALS | {signed_by.header}
        self._connected = False
        self._requests = 0
        self._waiting: OrderedDict[asyncio.Future[Disposition], Message] = OrderedDict()
        self._unsettled: set[asyncio.Future[Disposition]] = set()
        self._arrived = asyncio.Event()

    async def connect(self) -> None:
        """Let requests in."""
        self._connected = True

    async def receive(self, limit: int) -> Sequence[Message]:
        if self._connected and not self._waiting:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_wait):
                    await self._arrived.wait()
        self._check_connected()
        return [self._waiting.popitem(last=False)[1] for _ in range(min(limit, len(self._waiting)))]

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """Answer the requests; those that no sender waits for any more are passed over."""
        for message, answer in settled:
            future: asyncio.Future[Disposition] = message.receipt
            if not future.done():
                future.set_result(answer)

    async def backlog(self) -> Backlog:
        """The events of all requests that wait for their answer."""
        self._check_connected()
        return Backlog(messages=len(self._unsettled))

    async def close(self) -> None:
        """Answer every request that waits with 503, and those to come until the next `connect`."""
        self._connected = False
        self._arrived.set()
        self._waiting.clear()
        for future in self._unsettled:
            if not future.done():
                future.set_result(NACK)

    def route(self) -> Route:
        """The path of this source; other methods than POST and OPTIONS get a 405."""
        return Route(self._settings.path, self._respond, methods=["POST", "OPTIONS"])

    def _not_now(self) -> str:
        """Why nothing can be taken at the moment; empty if it can."""
        if self._store_fails():
            return _FAILING
        return "" if self._has_room() else _FULL

    def _check_connected(self) -> None:
        if not self._connected:
            raise NotConnectedError(f"source {self.name} is closed")

    async def _respond(self, request: Request) -> Response:
        if is_preflight(request.headers) or request.method != "OPTIONS":
            if is_refused(request.headers, self._settings.allow_origins):
                return _refusal(403, "web pages of this origin may not post here: allow_origins does not list it")
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=consent(request.headers))
            answer = await self._answer(request)
            answer.headers.update(consent(request.headers))
            return answer
        return self._consent(request)

    async def _answer(self, request: Request) -> Response:
        settings = self._settings
        try:
            signature = await self._senders.admit(request)
        except RefusedError as error:
            return _unauthorized(error)
        except UndecidedError as error:
            return _refusal(503, str(error), _RETRY_AFTER)
        mode = Mode.PLAIN if settings.format == "plain" else cloudevents_mode(request.headers)
        if mode is None:
            return _refusal(415, "not a CloudEvent: send application/cloudevents+json, a batch of it, or ce- headers")
        if not_now := self._not_now():
            return _refusal(503, not_now, _RETRY_AFTER)
        if seconds := self._admit(0):
            return _too_many(seconds)
        id = id_in(request.headers)
        if id is not None and len(id) > MAX_ID:
            return _refusal(400, f"an id of {len(id)} characters is too long, {MAX_ID} are allowed")
        if self._requests >= settings.receive.max_in_flight:
            return _refusal(503, "too many requests in flight", _RETRY_AFTER)
        self._requests += 1
        try:
            async with asyncio.timeout(settings.answer_timeout):
                with self._ahead():
                    return await self._take(request, mode, signature)
        except TimeoutError:
            return _refusal(503, "not settled in time; send it again", _RETRY_AFTER)
        except _NotNowError as error:
            return _refusal(503, str(error), _RETRY_AFTER)
        except ClientDisconnect:
            return Response(status_code=400)  # the client is gone
        finally:
            self._requests -= 1

    async def _take(self, request: Request, mode: Mode, signature: SignatureCheck | None) -> Response:
        body = await _body(request, self._max_body)
        if body is None:
            return _refusal(413, f"the body is over the limit of {self._max_body} bytes")
        if signature is not None:  # over the bytes as they came
            try:
                await _checked(signature, body)
            except SignatureError as error:
                return _unauthorized(self._senders.refusal(str(error)))
            if (challenge := self._slack_challenge(body)) is not None:
                return _json(200, {"challenge": challenge})
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            if name not in self._left_out:
                headers.setdefault(name, value)  # of several the first one counts, as everywhere
        try:
            body = await _unpacked(body, headers.pop("content-encoding", ""), limit=self._max_body)
        except UnsupportedCodingError as error:
            return _refusal(415, str(error), {"accept-encoding": ", ".join(SUPPORTED)})
        except UnpackedTooLargeError as error:
            return _refusal(413, str(error))
        except CodingError:
            headers["content-encoding"] = request.headers["content-encoding"]  # decoding refuses it and keeps the bytes
        if mode is Mode.EVENT_GRID_VALIDATION:
            return self._validation(body)
        parts = await _parts(mode, headers, body)
        if len(parts) > MAX_EVENTS:
            return _refusal(413, f"the batch has more than {MAX_EVENTS} events")
        if not self._connected:
            return _refusal(503, "not taking events at the moment", _RETRY_AFTER)
        if seconds := self._admit(len(parts)):  # others may have passed while this one was read
            return _too_many(seconds)
        answers = await self._settlements(parts, headers, is_batch=mode.is_batch)
        results = [_result(part.id, answer) for part, answer in zip(parts, answers, strict=True)]
        return _json(_status(answers), {"results": results} if mode.is_batch else results[0])

    async def _settlements(
        self, parts: Sequence[Part], headers: Mapping[str, str], *, is_batch: bool
    ) -> Sequence[Disposition]:
        """Hand the events to `receive` and wait until all are settled; a sender that stops waiting takes them back.

        Raises: _NotNowError.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Disposition]] = [loop.create_future() for _ in parts]
        for part, future in zip(parts, futures, strict=True):
            self._waiting[future] = self._message(part, headers, future, is_alone=not is_batch)
        self._unsettled.update(futures)
        self._arrived.set()
        try:
            waiting: set[asyncio.Future[Disposition]] = set(futures)
            while waiting:
                _, waiting = await asyncio.wait(waiting, timeout=_LOOK_EVERY)
                if waiting and (not_now := self._not_now()):
                    raise _NotNowError(not_now)
            return [future.result() for future in futures]
        finally:
            self._unsettled.difference_update(futures)
            for future in futures:
                self._waiting.pop(future, None)
                future.cancel()  # what is not in the store yet is given up: its sender comes again

    def _message(
        self, part: Part, headers: Mapping[str, str], receipt: asyncio.Future[Disposition], *, is_alone: bool
    ) -> Message:
        properties = {"path": self._settings.path, "content_type": part.content_type, "message_id": part.id}
        return Message(
            source=self.name,
            body=part.body,
            id=part.id,
            content_type=part.content_type,
            headers=headers,
            properties={name: value for name, value in properties.items() if value is not None},
            enqueued_at=self._now(),
            receipt=receipt,
            is_lost=receipt.cancelled,
            is_alone=is_alone,
        )

    def _consent(self, request: Request) -> Response:
        """The answer to a sender that asks whether it may deliver (CloudEvents web hooks 1.0, section 4).

        It needs no credentials: it protects the sender, not us. A callback address is never called: it would let
        anybody make this process send requests.
        """
        handshake = self._settings.handshake
        origin = request.headers.get("webhook-request-origin")
        if handshake is None:
            return _refusal(405, "no handshake is offered", {"allow": "POST"})
        if origin is None or not handshake.allows(origin):
            return _refusal(403, "deliveries from this origin are not expected", {"allow": "POST"})
        rate = "*" if handshake.rate is None else str(handshake.rate)
        return Response(
            headers={"allow": "POST", "webhook-allowed-origin": origin, "webhook-allowed-rate": rate},
        )

    def _slack_challenge(self, body: bytes) -> str | None:
        """What Slack wants to hear before it sends events (Slack, "url_verification"); its signature was good by then."""
        auth = self._settings.auth
        is_slack = auth is not None and auth.hmac is not None and auth.hmac.preset == "slack"
        return challenge_of(body) if is_slack else None

    def _validation(self, body: bytes) -> Response:
        """The answer to Event Grid's question in its own schema (Event Grid, "Endpoint validation")."""
        if self._settings.handshake is None:
            return _refusal(403, "no handshake is offered")
        code = validation_code(body)
        if code is None:
            return _refusal(400, "no validationCode in a subscription validation event")
        return _json(200, {"validationResponse": code})


async def _checked(check: SignatureCheck, body: bytes) -> None:
    """Raises: SignatureError."""
    if len(body) > _LARGE_TO_HASH:
        await asyncio.to_thread(check, body)
    else:
        check(body)


async def _unpacked(body: bytes, coding: str, *, limit: int) -> bytes:
    """As `unpacked`, beside the event loop: a small body may come to a large one."""
    return await asyncio.to_thread(unpacked, body, coding, limit=limit) if coding else body


async def _parts(mode: Mode, headers: Mapping[str, str], body: bytes) -> list[Part]:
    """As `parts_of`; a large batch is taken apart beside the event loop."""
    if mode.is_batch and len(body) > _LARGE:
        return await asyncio.to_thread(parts_of, mode, headers, body, limit=MAX_EVENTS)
    return parts_of(mode, headers, body, limit=MAX_EVENTS)


async def _body(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is known to be over the limit; never more than the limit is held."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _status(dispositions: Sequence[Disposition]) -> int:
    settlements = {disposition.settlement for disposition in dispositions}
    if Settlement.NACK in settlements:
        return 503
    return 400 if Settlement.REJECT in settlements else 202


def _result(id: str | None, disposition: Disposition) -> Mapping[str, Any]:
    """What became of an event; its id is that which the event is known by, or else the sender's."""
    result: dict[str, Any] = {} if id is None else {"id": id}
    if disposition.settlement is Settlement.NACK:
        return result | {"outcome": "again"}
    return {**result, **(disposition.answer or {"outcome": "accepted"})}


def _json(status: int, content: object) -> Response:
    headers = _RETRY_AFTER if status == 503 else None
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def _unauthorized(error: RefusedError) -> Response:
    return _refusal(401, str(error), {"www-authenticate": error.challenge})


def _too_many(seconds: float) -> Response:
    """For a sender beyond the rate (RFC 6585, section 4)."""
    detail = "more events come than the rate of this source allows; send it again later"
    return _refusal(429, detail, {"retry-after": str(math.ceil(seconds))})


def _refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps({"detail": detail}), status, headers, media_type="application/json")
