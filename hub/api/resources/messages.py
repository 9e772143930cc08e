"""Sends and what became of them (Notification Hubs REST API)."""

import hashlib
import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import HubAccess, Right
from hub.api.gate import Gate
from hub.api.request import has_flag, header, read_body, url_of
from hub.api.resources.details import details_xml
from hub.api.service import HubService
from hub.api.wire.content import format_of, native_content, platform_of, template_content
from hub.api.wire.errors import XML
from hub.dates import parse_date
from hub.errors import InvalidRequestError, TagError
from hub.notification import EVERYONE, Audience, Content, Notification
from hub.tags import MaxTags, parse

_MAX_IDEMPOTENCY_KEY = 255


class Messages:
    """The operations on `/{hub}/messages`."""

    def __init__(self, service: HubService, gate: Gate) -> None:
        self._service = service
        self._gate = gate

    def routes(self) -> list[Route]:
        return [
            Route("/{hub}/messages", self.send, methods=["POST"]),
            Route("/{hub}/messages/{id}", self.details, methods=["GET"]),
        ]

    async def send(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.SEND)
        _refuse_other_sends(request)
        body = await read_body(request)
        expiry = header(request, "ServiceBusNotification-Apns-Expiry")
        notification = Notification(
            id=_notification_id(hub, header(request, "Idempotency-Key")),
            hub=hub,
            audience=_audience(header(request, "ServiceBusNotification-Tags"), access.max_tags_in_expression),
            content=_content(request, body, access),
            expires_at=parse_date(expiry) if expiry else None,
        )
        wire_id = await self._service.send(notification)
        return Response(status_code=201, headers={"Location": url_of(request, "messages", wire_id)}, media_type=XML)

    async def details(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.SEND)
        details = await self._service.details(hub, request.path_params["id"])
        location = url_of(request, "messages", details.notification_id, scheme="sb")
        is_java = "JavaSDK" in request.headers.get("user-agent", "")
        return Response(details_xml(details, location=location, is_java=is_java), media_type=XML)


def _refuse_other_sends(request: Request) -> None:
    # Taken for an ordinary send, each of the first two would go to the whole hub, and the last at once.
    if has_flag(request, "direct") or header(request, "ServiceBusNotification-DeviceHandle"):
        raise InvalidRequestError("Direct sends are not supported yet; send to the tag $InstallationId:{id}")
    if has_flag(request, "test") or has_flag(request, "debug"):
        raise InvalidRequestError("Test sends are not supported yet; send to a tag and read the message's details")
    if header(request, "ServiceBusNotification-ScheduleTime"):
        raise InvalidRequestError("Scheduled sends are not supported yet; send it when it is due")


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
        raise InvalidRequestError(f"ServiceBusNotification-Tags, column {error.column}: {error}") from error


def _content(request: Request, body: bytes, access: HubAccess) -> Content:
    format_name = format_of(header(request, "ServiceBusNotification-Format"), request.headers, body)
    platform = platform_of(format_name)
    if not access.platforms or (platform is not None and platform not in access.platforms):
        raise InvalidRequestError(
            f"There are no target applications for the format {format_name}: the hub has no credential for it"
        )
    return template_content(body) if platform is None else native_content(platform, request.headers, body)
