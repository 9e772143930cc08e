"""A hub elsewhere: an Azure Notification Hub, or a central pushbridge (Notification Hubs REST API, "Send notification").

This process keeps rules and the durable outbox; registry and delivery are the other's. A notification is handed over as a
whole, with its id as `Idempotency-Key`: a central pushbridge takes the same key once, however often it is sent. Azure does
not know that header, so there a repetition after a crash is a second notification.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

import orjson

from hub.notification import Everyone, Notification, Platform, TemplateContent
from hub.outcome import OutcomeName, Reaction
from hub.remote_settings import RemoteSettings
from hub.senders.base import SendResult
from hub.senders.headers import HeaderError, field_lines, given_fields
from hub.senders.results import malformed, retry_after, unreachable
from hub.senders.transport import Request, Transport

API_VERSION: Final = "2020-06"
TOKEN_LIFETIME: Final = 3600  # seconds
_RENEW_BEFORE: Final = 300
_FORMATS: Final[Mapping[Platform, str]] = {
    Platform.APNS: "apple",
    Platform.FCM: "fcmv1",
    Platform.WNS: "windows",
}
_NATIVE_HEADERS: Final = ("apns-", "x-wns-")
_CREDENTIALS: Final = (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS)
_STATUSES: Final[Mapping[int, tuple[Reaction, OutcomeName]]] = {
    400: (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_FORMAT),
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: _CREDENTIALS,  # there is no such hub
    408: (Reaction.RETRY, OutcomeName.PNS_UNAVAILABLE),
    410: _CREDENTIALS,
    413: (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_SIZE),
    429: (Reaction.THROTTLED, OutcomeName.THROTTLED),
    503: (Reaction.RETRY, OutcomeName.PNS_UNAVAILABLE),
}
_THROTTLED: Final = (Reaction.THROTTLED, OutcomeName.THROTTLED)


class RemoteHub:
    """Hands notifications over; one result each, as a push service's sender gives them for pushes."""

    def __init__(self, settings: RemoteSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = Transport(ca_file=settings.ca_file)
        self._url = f"{settings.endpoint}/{quote(settings.hub, safe='')}/messages?api-version={API_VERSION}"
        self._token = b""
        self._token_ends = 0.0

    async def send(self, notifications: Sequence[Notification], *, deadline: float = 30.0) -> Sequence[SendResult]:
        """In order; never raises for what the other answers. Nothing is repeated here."""
        requests = [self.request_for(notification) for notification in notifications]
        responses = iter(
            await self._transport.post_many(
                (request for request in requests if not isinstance(request, SendResult)), deadline=deadline
            )
        )
        results = []
        for request in requests:
            if isinstance(request, SendResult):
                results.append(request)
                continue
            response = next(responses)
            answered = response.status != 0
            results.append(
                verdict(response.status, response.headers, response.body) if answered else unreachable(response)
            )
        return results

    async def close(self) -> None:
        """End what is under way. May be called twice."""
        await self._transport.close()

    def request_for(self, notification: Notification) -> Request | SendResult:
        """The request, or why there cannot be one."""
        fields = {"idempotency-key": notification.id}
        if not isinstance(notification.audience, Everyone):
            fields["servicebusnotification-tags"] = str(notification.audience)
        content = notification.content
        if isinstance(content, TemplateContent):
            fields |= {
                "servicebusnotification-format": "template",
                "content-type": "application/json;charset=utf-8",
            }
            body = orjson.dumps(dict(content.properties))
        else:
            is_xml = content.platform is Platform.WNS and content.payload.lstrip().startswith(b"<")
            kind = "application/xml" if is_xml else "application/json;charset=utf-8"
            fields |= {
                "servicebusnotification-format": _FORMATS[content.platform],
                "content-type": "application/octet-stream" if _is_raw(content.headers) else kind,
            }
            body = content.payload
        if notification.expires_at is not None:
            fields["servicebusnotification-apns-expiry"] = f"{notification.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        try:
            if not isinstance(content, TemplateContent):
                fields |= given_fields(content.headers, allowed=_NATIVE_HEADERS)
            lines = field_lines(fields)
        except HeaderError as error:
            return malformed(str(error))
        return Request(self._url, [self._authorization(), *lines], body)

    def _authorization(self) -> bytes:
        """One signature for an hour: it is for the hub, not for a request."""
        now = self._clock()
        if now > self._token_ends - _RENEW_BEFORE:
            self._token_ends = now + TOKEN_LIFETIME
            self._token = b"authorization: " + signature(self._settings, int(self._token_ends)).encode()
        return self._token


def signature(settings: RemoteSettings, expires_at: int) -> str:
    """A shared access signature for the hub (Azure Notification Hubs, "Security")."""
    resource = quote_plus(f"{settings.endpoint}/{settings.hub}".lower())
    digest = hmac.digest(settings.key.encode(), f"{resource}\n{expires_at}".encode(), hashlib.sha256)
    signed = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signed}&se={expires_at}&skn={quote_plus(settings.key_name)}"


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What the other's answer means for a notification; 403 with `Retry-After` is how older services throttle."""
    if status in (200, 201, 202):
        return SendResult(
            reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=_id_in(headers.get("location", ""))
        )
    wait = retry_after(headers)
    if status == 403 and wait is not None:
        reaction, outcome = _THROTTLED
    elif status in _STATUSES:
        reaction, outcome = _STATUSES[status]
    elif status >= 500:
        reaction, outcome = Reaction.RETRY, OutcomeName.PNS_SERVER_ERROR
    else:
        reaction, outcome = Reaction.DROP, OutcomeName.PNS_INTERFACE_ERROR
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=f"HTTP {status}",
        retry_after=wait,
        lane_wide=reaction in (Reaction.CONFIG, Reaction.THROTTLED),
    )


def _id_in(location: str) -> str:
    return location.partition("/messages/")[2].partition("?")[0]


def _is_raw(headers: Mapping[str, str]) -> bool:
    return any(name.lower() == "x-wns-type" and value == "wns/raw" for name, value in headers.items())
