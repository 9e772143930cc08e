"""A remote hub: an Azure Notification Hub, or a central pushbridge (Notification Hubs REST API, "Send notification").

This process keeps rules and the durable outbox; registry and delivery are the other's. A notification is handed over as a
whole, with its id as `Idempotency-Key`: a central pushbridge takes the same key once, however often it is sent. Azure does
not know that header, so there a repetition after a crash is a second notification.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import unescape

import orjson

from hub.delivery.remote_settings import RemoteSettings
from hub.notification import SENSITIVE_HEADER, Everyone, NativeContent, Notification, TemplateContent
from hub.origin import ORIGIN_HEADER, Origin
from hub.outcome import OutcomeName, Reaction
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import fit_headers
from hub.platforms.results import malformed
from hub.platforms.table import services, traits_of
from hub.platforms.verdict_classes import (
    CREDENTIALS,
    FORMAT,
    OUR_BUG,
    SERVER_ERROR,
    SIZE,
    THROTTLED,
    UNAVAILABLE,
    Meaning,
)
from hub.push import PageVerdict, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import retry_after
from hub.transport.client import Transport
from hub.transport.http_send import post
from hub.transport.sas import token_for

API_VERSION: Final = "2020-06"
TOKEN_LIFETIME: Final = 3600  # seconds
CONNECTIONS: Final = 32  # neither Azure nor pushbridge is known to offer HTTP/2, and HTTP/1.1 is one request at a time

_RENEW_BEFORE: Final = 300  # seconds
_MAX_DETAIL: Final = 200  # characters of the other's words that are kept
_DETAIL: Final = re.compile(r"<Detail>(.*?)(?:\.?TrackingId:|</Detail>)", re.DOTALL)
_MESSAGE: Final = re.compile(r"/messages/([^/]+)/?$", re.IGNORECASE)
_STATUSES: Final[Mapping[int, Meaning]] = {
    400: FORMAT,
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: CREDENTIALS,  # there is no such hub
    408: UNAVAILABLE,
    410: CREDENTIALS,
    413: SIZE,
    429: THROTTLED,
    503: UNAVAILABLE,
}


class RemoteHub:
    """Hands notifications over; a verdict on them, as a push service's sender gives it on a page of pushes.

    `on_sent` is told of each that was taken, with the id that the other side gave it, empty for none. `origin_of` says
    which event caused one, None for none.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        clock: Callable[[], float] = time.time,
        on_sent: Callable[[Notification, str], None] | None = None,
        origin_of: Callable[[Notification], Origin | None] = lambda notification: None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_sent = on_sent
        self._origin_of = origin_of
        self._transport = Transport(
            settings.egress, http2=False, connections=CONNECTIONS, answer_headers=on_sent is not None
        )
        self._token = ""
        self._token_ends = 0.0

    async def send(self, notifications: Sequence[Notification], *, deadline: float = 30.0) -> PageVerdict:
        """Never raises for what the other side answers. Nothing is repeated here."""
        ids: dict[int, str] = {}

        def heard(position: int, headers: Mapping[str, str]) -> None:
            ids[position] = message_id(headers.get("location", ""))

        said = await post(self._transport, self._requests(notifications), verdict, deadline=deadline, heard=heard)
        if self._on_sent is not None:
            for position, notification in enumerate(notifications):
                if position not in said.exceptions:
                    self._on_sent(notification, ids.get(position, ""))
        return said

    async def close(self) -> None:
        """End what is under way. May be called twice."""
        await self._transport.close()

    def _requests(self, notifications: Sequence[Notification]) -> Iterator[RequestGroup | Refused]:
        authorization = self._authorization()
        for position, notification in enumerate(notifications):
            yield request_for(
                notification,
                self._settings,
                position=position,
                authorization=authorization,
                origin=self._origin_of(notification),
            )

    def _authorization(self) -> str:
        """One signature for an hour: it is for the hub, not for a request."""
        now = self._clock()
        if now > self._token_ends - _RENEW_BEFORE:
            self._token_ends = now + TOKEN_LIFETIME
            self._token = signature(self._settings, int(self._token_ends))
        return self._token


def message_id(location: str) -> str:
    """The id of a message in its URL, `…/messages/ID?…`; empty for none."""
    found = _MESSAGE.search(urlsplit(location).path)
    return "" if found is None else unquote(found[1])


def request_for(
    notification: Notification,
    settings: RemoteSettings,
    *,
    position: int = 0,
    authorization: str,
    origin: Origin | None = None,
) -> RequestGroup | Refused:
    """The request, or why there cannot be one.

    It does not carry `platforms` and `priority`, and `collapse_key` only with a native payload: templates are the other's.
    """
    fields = {"authorization": authorization}
    if notification.trace:
        fields["traceparent"] = notification.trace
        if notification.tracestate:
            fields["tracestate"] = notification.tracestate
    if origin is not None and origin.header:
        fields[ORIGIN_HEADER] = origin.header
    if notification.sensitive:
        fields[SENSITIVE_HEADER] = "true"
    if not isinstance(notification.audience, Everyone):
        fields["servicebusnotification-tags"] = str(notification.audience)
    if notification.expires_at is not None:
        fields["servicebusnotification-apns-expiry"] = f"{notification.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    content = notification.content
    try:
        if isinstance(content, TemplateContent):
            body = orjson.dumps(dict(content.properties))
            fields["servicebusnotification-format"] = "template"
            fields["content-type"] = "application/json;charset=utf-8"
        else:
            body = content.payload
            fields["servicebusnotification-format"] = traits_of(content.platform).wire_format
            fields |= _native_fields(content, notification.collapse_key)
        lines = field_lines(fields)
    except HeaderError as error:
        return Refused([position], malformed(str(error)))
    path = f"/{quote(settings.hub, safe='')}/messages?api-version={API_VERSION}"
    return RequestGroup(settings.endpoint, [position], path, [""], lines, "idempotency-key", [notification.id], [body])


def _native_fields(content: NativeContent, collapse_key: str | None) -> dict[str, str]:
    """The headers given with a payload, the collapse key and other hints made to fit, and those that its platform needs.

    Raises: HeaderError.
    """
    traits = traits_of(content.platform)
    allowed = tuple(name for each in services() for name in each.headers)
    fields = given_fields(content.headers, allowed=allowed)
    if collapse_key and traits.collapse_header and not traits.is_silent(fields, content.payload):
        fields.setdefault(traits.collapse_header, collapse_key)
    fields = fit_headers(fields, traits.hints)
    return traits.remote_fields(fields, content.payload)


def signature(settings: RemoteSettings, expires_at: int) -> str:
    """A shared access signature for the hub (Azure Notification Hubs, "Security"); `expires_at` in seconds since 1970."""
    url = f"{settings.endpoint}/{settings.hub}"
    return token_for(settings.key_name, settings.key, url=url, expires_at=expires_at)


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What the other's answer means for a notification; 403 with `Retry-After` is how older services throttle."""
    if status in (200, 201, 202):
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS)
    wait = retry_after(headers)
    if status == 403 and wait is not None:
        reaction, outcome = THROTTLED
    elif status in _STATUSES:
        reaction, outcome = _STATUSES[status]
    elif status >= 500:
        reaction, outcome = SERVER_ERROR
    elif status >= 400:
        reaction, outcome = OUR_BUG
    else:  # a redirect, or a success that no hub answers with: something else lives there
        reaction, outcome = CREDENTIALS
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=_words(status, body),
        retry_after=wait,
        lane_wide=reaction in (Reaction.CONFIG, Reaction.THROTTLED),
    )


def _words(status: int, body: bytes) -> str:
    """The status, and what the service's error document adds to it."""
    detail = detail_of(body)
    return f"HTTP {status}: {detail}" if detail else f"HTTP {status}"


def detail_of(body: bytes) -> str:
    """What an error document says, shortened; empty for a proxy's page."""
    found = _DETAIL.search(body.decode("utf-8", "replace"))
    return "" if found is None else " ".join(unescape(found[1]).split())[:_MAX_DETAIL]
