"""Sends and what became of them (Notification Hubs REST API)."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import HubAccess, Right
from hub.api.gate import Gate
from hub.api.request import MAX_BODY, has_flag, header, read_body, url_of
from hub.api.resources.details import details_xml
from hub.api.resources.trying import tested
from hub.api.service import HubService
from hub.api.wire.content import format_of, native_content, platform_of, template_content
from hub.api.wire.errors import XML
from hub.api.wire.multipart import read_batch
from hub.api.wire.tested import outcome_xml
from hub.dates import parse_date
from hub.errors import ConfirmationError, InvalidRequestError, PayloadTooLargeError, TagError
from hub.notification import EVERYONE, SENSITIVE_HEADER, Audience, Content, NativeContent, Notification
from hub.origin import Origins
from hub.platforms.table import traits_of
from hub.tags import MaxTags, parse
from hub.trace_context import TraceContext, trace_from

_MAX_IDEMPOTENCY_KEY = 255
_MAX_BATCH_BODY = 1024 * 1024
"""Bytes of a batch: a thousand handles of the longest kind, and a payload."""

_FARTHEST = timedelta(days=7)
_LATEST = timedelta(minutes=5)
"""How long ago a scheduled time may be: such a notification goes at once, for clocks differ."""

_FORMAT = "ServiceBusNotification-Format"
_TAGS = "ServiceBusNotification-Tags"
_HANDLE = "ServiceBusNotification-DeviceHandle"
_TIME = "ServiceBusNotification-ScheduleTime"
_CONFIRM = "Pushbridge-Confirm"
_MAX_DIGITS = 18


class Messages:
    """The operations on `/{hub}/messages` and `/{hub}/schedulednotifications`."""

    def __init__(
        self,
        service: HubService,
        gate: Gate,
        *,
        clock: Callable[[], datetime],
        trace: Callable[[Mapping[str, str]], TraceContext] = trace_from,
        keeps_origins: bool = True,
    ) -> None:
        self._service = service
        self._gate = gate
        self._clock = clock
        self._trace = trace
        self._origins = Origins() if keeps_origins else None

    def routes(self) -> list[Route]:
        return [
            Route("/{hub}/messages", self.send, methods=["POST"]),
            Route("/{hub}/messages/$batch", self.send_batch, methods=["POST"]),
            Route("/{hub}/messages/{id}", self.details, methods=["GET"]),
            Route("/{hub}/schedulednotifications", self.schedule, methods=["POST"]),
            Route("/{hub}/schedulednotifications/{id}", self.cancel, methods=["DELETE"]),
        ]

    async def send(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.SEND)
        if header(request, _TIME):
            raise InvalidRequestError(f"A send with {_TIME} goes to /{hub}/schedulednotifications")
        if has_flag(request, "direct"):
            return await self._send_direct(request, hub, access)
        if header(request, _HANDLE):
            # Taken for an ordinary send, it would go to the whole hub.
            raise InvalidRequestError(f"A send with {_HANDLE} has the flag direct in its query")
        notification = await self._notification(request, hub, access)
        if _is_test(request):
            return await self._test(request, notification)
        return _accepted(request, "messages", await self._send(request, notification))

    async def _send(self, request: Request, notification: Notification) -> str:
        """Raises: InvalidRequestError: it is for more registrations than its client confirms."""
        origin = None if self._origins is None else self._origins.read(request.headers)
        try:
            return await self._service.send(notification, confirmed=_confirmed(request), origin=origin)
        except ConfirmationError as error:
            raise InvalidRequestError(f"{error}: send it with the header {_CONFIRM}: {error.count}") from error

    async def _send_direct(self, request: Request, hub: str, access: HubAccess) -> Response:
        handle = header(request, _HANDLE)
        if not handle:
            raise InvalidRequestError(f"A direct send names its device in {_HANDLE}")
        notification = await self._notification(request, hub, access, is_direct=True)
        (push_channel,) = _push_channels(notification.content, [handle], request.headers)
        if _is_test(request):
            return await self._test(request, notification, push_channel)
        return _accepted(request, "messages", await self._service.send_direct(notification, [push_channel]))

    async def send_batch(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.SEND)
        if not has_flag(request, "direct"):
            raise InvalidRequestError("A batch has the flag direct in its query")
        body = await read_body(request, most=_MAX_BATCH_BODY)
        batch = read_batch(body, header(request, "Content-Type"))
        if len(batch.payload) > MAX_BODY:
            raise PayloadTooLargeError(f"The notification has more than {MAX_BODY} bytes")
        headers = {**request.headers, "content-type": batch.content_type}
        trace = self._trace(request.headers)
        notification = _notification(request, hub, access, batch.payload, headers, trace, is_direct=True)
        push_channels = _push_channels(notification.content, batch.devices, request.headers)
        # The id is the third segment for one SDK and the last for others: not /messages/$batch/{id}.
        return _accepted(request, "messages", await self._service.send_direct(notification, push_channels))

    async def schedule(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.SEND)
        text = header(request, _TIME)
        if not text:
            raise InvalidRequestError(f"A scheduled send says when in {_TIME}")
        if has_flag(request, "direct") or header(request, _HANDLE):
            raise InvalidRequestError("A direct send cannot be scheduled")
        at, now = parse_date(text), self._clock()
        if not now - _LATEST <= at <= now + _FARTHEST:
            raise InvalidRequestError(f"{_TIME}: {text[:60]!r} is past, or more than 7 days ahead")
        notification = await self._notification(request, hub, access, schedule_at=at)
        return _accepted(request, "schedulednotifications", await self._send(request, notification))

    async def cancel(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.SEND)
        await self._service.cancel(hub, request.path_params["id"])
        return Response(media_type=XML)

    async def details(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.SEND)
        id = request.path_params["id"]
        # Under the id that the client was given, which is longer than the store's.
        details = replace(await self._service.details(hub, id), notification_id=id)
        location = url_of(request, "messages", details.notification_id, scheme="sb")
        is_java = "JavaSDK" in request.headers.get("user-agent", "")
        return Response(details_xml(details, location=location, is_java=is_java), media_type=XML)

    async def _test(self, request: Request, notification: Notification, push_channel: str = "") -> Response:
        results = await tested(self._service, notification, push_channel)
        location = url_of(request, "messages", notification.id)
        return Response(outcome_xml(results), 201, {"Location": location}, media_type=XML)

    async def _notification(
        self,
        request: Request,
        hub: str,
        access: HubAccess,
        *,
        schedule_at: datetime | None = None,
        is_direct: bool = False,
    ) -> Notification:
        body = await read_body(request)
        trace = self._trace(request.headers)
        return _notification(
            request, hub, access, body, request.headers, trace, schedule_at=schedule_at, is_direct=is_direct
        )


def _confirmed(request: Request) -> int:
    """For how many registrations the client says that its send may be. Raises: InvalidRequestError."""
    text = header(request, _CONFIRM)
    if text and not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise InvalidRequestError(f"{_CONFIRM}: {text[:40]!r} is no number of registrations")
    return int(text or 0)


def _is_test(request: Request) -> bool:
    """One client asks for a test in a header: taken for an ordinary send, it would go to all."""
    by_header = header(request, "ServiceBusNotification-TestSend").lower() == "true"
    return by_header or has_flag(request, "test") or has_flag(request, "debug")


def _accepted(request: Request, resource: str, wire_id: str) -> Response:
    return Response(status_code=201, headers={"Location": url_of(request, resource, wire_id)}, media_type=XML)


def _notification(
    request: Request,
    hub: str,
    access: HubAccess,
    body: bytes,
    headers: Mapping[str, str],
    trace: TraceContext,
    *,
    schedule_at: datetime | None = None,
    is_direct: bool = False,
) -> Notification:
    """What a request asks to be sent; the audience of a direct send is not read, for it names its push channels."""
    expiry = header(request, "ServiceBusNotification-Apns-Expiry")
    tags = "" if is_direct else header(request, _TAGS)
    return Notification(
        id=_notification_id(hub, header(request, "Idempotency-Key")),
        hub=hub,
        audience=_audience(tags, access.max_tags_in_expression),
        content=_content(header(request, _FORMAT), headers, body, access),
        schedule_at=schedule_at,
        expires_at=parse_date(expiry) if expiry else None,
        trace=trace.trace,
        tracestate=trace.tracestate,
        sensitive=header(request, SENSITIVE_HEADER).strip().lower() == "true",
    )


def _notification_id(hub: str, key: str) -> str:
    if len(key) > _MAX_IDEMPOTENCY_KEY:
        raise InvalidRequestError(
            f"An Idempotency-Key of {len(key)} characters is too long, {_MAX_IDEMPOTENCY_KEY} are allowed"
        )
    return hashlib.sha256(f"{hub}\n{key}".encode()).hexdigest()[:32] if key else secrets.token_hex(16)


def _audience(tags: str, max_tags: MaxTags) -> Audience:
    if tags.strip() in ("", "undefined"):  # what one SDK writes when it was given no tags
        return EVERYONE
    try:
        return parse(tags, max_tags=max_tags)
    except TagError as error:
        raise InvalidRequestError(f"{_TAGS}, column {error.column}: {error}") from error


def _content(given: str, headers: Mapping[str, str], body: bytes, access: HubAccess) -> Content:
    format_name = format_of(given, headers, body)
    platform = platform_of(format_name)
    if not access.platforms or (platform is not None and platform not in access.platforms):
        raise InvalidRequestError(
            f"There are no target applications for the format {format_name}: the hub has no credential for it"
        )
    return template_content(body) if platform is None else native_content(platform, headers, body)


def _push_channels(content: Content, handles: list[str], headers: Mapping[str, str]) -> list[str]:
    """The handles of a direct send as they are stored; a browser's keys stand in headers of their own.

    Raises: InvalidRequestError.
    """
    if not isinstance(content, NativeContent):
        raise InvalidRequestError("A direct send has a format of its own, not template")
    traits = traits_of(content.platform)
    keys = [headers[name] for name in ("p256dh", "auth") if name in headers]
    if keys and len(traits.descriptions[0].handles) == 1 + len(keys):
        return [traits.joined_handles([handle, *keys]) for handle in handles]
    return [traits.push_channel(handle) for handle in handles]
