"""A stand-in for the Windows Push Notification Services: token endpoints and channel URIs, over HTTP/1.1 only.

Standard behind it: Microsoft, "Push notification service request and response headers". The XML of a notification is
not looked at, as the real service leaves that to the device.
"""

import re
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.faults import Faults
from sandbox.journal import Clock, Journal, utc_now
from sandbox.oauth import BearerTokens, client_of, error_answer, json_answer
from sandbox.service import PUSH_ID_HEADER, PushService

ENTRA_SCOPE = "https://wns.windows.com/.default"
STORE_PATH = "/accesstoken.srf"
STORE_SCOPE = "notify.windows.com"
TOKEN_LIFETIME = timedelta(seconds=86399)
MAX_PAYLOAD = 5000

XML, OCTETS = "text/xml", "application/octet-stream"

CONTENT_TYPES: Mapping[str, str] = {"wns/toast": XML, "wns/tile": XML, "wns/badge": XML, "wns/raw": OCTETS}
"""The Content-Type that belongs to each X-WNS-Type."""

HEADER_RULES: Mapping[str, Callable[[str], object]] = {
    name: re.compile(pattern, re.IGNORECASE).fullmatch
    for name, pattern in {
        "x-wns-cache-policy": "cache|no-cache",
        "x-wns-requestforstatus": "true|false",
        "x-wns-tag": "[a-z0-9]{1,16}",
        "x-wns-group": "[a-z0-9]{1,16}",
        "x-wns-ttl": "[0-9]{1,10}",
        "x-wns-priority": "[1-4]",
        "x-wns-suppresspopup": "true|false",
    }.items()
}
"""What the value of a header may be."""

DeviceStatus = Literal["connected", "disconnected", "tempdisconnected"]


@dataclass(slots=True)
class _Channel:
    app: str
    device: DeviceStatus = "connected"
    expired: bool = False


class Wns(PushService):
    """WNS as far as a sender notices; all its channels belong to desktops.

    `apps` maps client ids to secrets. `token_faults` are those of the token endpoints. With `accept_unknown` every
    channel URI of this service belongs to whichever app sends to it.
    """

    name = "wns"
    versions = ("http/1.1",)

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        tenant: str,
        apps: Mapping[str, str],
        accept_unknown: bool = False,
        token_lifetime: timedelta = TOKEN_LIFETIME,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self.token_faults = Faults()
        self.tokens = BearerTokens(clock=clock)
        self._token_path = f"/{tenant}/oauth2/v2.0/token"
        self._apps = apps
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._channels: dict[str, _Channel] = {}

    @property
    def token_url(self) -> str:
        """Where access tokens are had (Microsoft Entra's form)."""
        return self.url + self._token_path

    def register(self, handle: str, *, app: str | None = None) -> None:
        """A living channel of `app`, the first of the apps unless given."""
        self._channels[self._path(handle)] = _Channel(app=app or next(iter(self._apps)))

    def unregister(self, handle: str) -> None:
        """The channel is expired: 410."""
        self._channels[self._path(handle)].expired = True

    def set_device(self, channel: str, status: DeviceStatus) -> None:
        """Whether the device behind a channel can be reached."""
        self._channels[self._path(channel)].device = status

    def _path(self, channel: str) -> str:
        return channel.removeprefix(self.url)

    def _serve(self, exchange: Exchange) -> None:
        if exchange.path in (self._token_path, STORE_PATH):
            answer = self._token_answer(exchange)
            self.token_faults.deliver(exchange, answer, taken=answer.status == 200)
            return
        handle = self.url + exchange.path
        refusal = None
        try:
            self._examine(exchange)
            self.faults.strike(handle)
        except RefusedError as error:
            refusal = error
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        self._conclude(exchange, self._answer(exchange, refusal), handle=handle, push_id=push_id, refusal=refusal)

    def _answer(self, exchange: Exchange, refusal: RefusedError | None) -> Answer:
        headers = [("X-WNS-Msg-ID", secrets.token_hex(8)), ("X-WNS-Debug-Trace", "SANDBOX")]
        if "ms-cv" in exchange.headers:
            headers.append(("MS-CV", exchange.headers["ms-cv"]))
        status = 200 if refusal is None else refusal.status
        if status == 200 and exchange.headers.get("x-wns-requestforstatus", "").lower() == "true":
            headers.append(("X-WNS-Status", "received" if refusal is None else refusal.reason))
            channel = self._channels.get(exchange.path)
            headers.append(("X-WNS-DeviceConnectionStatus", "connected" if channel is None else channel.device))
        if refusal is not None and refusal.status != 200:
            headers.append(("X-WNS-Error-Description", refusal.reason))
        retry_after = None if refusal is None else refusal.retry_after_value()
        if retry_after is not None:
            name = "Retry-After" if status == 503 else "X-WNS-CONTINUE-AFTER"
            headers.append((name, retry_after))
        return Answer(status=status, headers=tuple(headers))

    def _examine(self, exchange: Exchange) -> None:
        """Everything WNS looks at.

        Raises: RefusedError.
        """
        if exchange.method != "POST":
            raise RefusedError(405, "Method not allowed")
        if exchange.chunked or "content-length" not in exchange.headers:
            raise RefusedError(400, "A Content-Length is required and chunked bodies are not taken")
        app = self.tokens.owner(exchange.headers.get("authorization"))
        if app is None:
            raise RefusedError(401, "The access token is missing, invalid or expired")
        channel = self._channels.get(exchange.path)
        if channel is None:
            if not self.accept_unknown:
                raise RefusedError(404, "The channel is unknown")
            channel = _Channel(app=app)
        if channel.expired:
            raise RefusedError(410, "The channel has expired")
        if channel.app != app:
            raise RefusedError(403, "The access token is of another app than the channel")
        _examine_headers(exchange.headers)
        if not exchange.body:
            raise RefusedError(400, "The notification is empty")
        if len(exchange.body) > MAX_PAYLOAD:
            raise RefusedError(413, f"The notification has more than {MAX_PAYLOAD} bytes")
        if _is_dropped(exchange.headers, channel.device):
            raise RefusedError(200, "dropped")

    def _token_answer(self, exchange: Exchange) -> Answer:
        try:
            scope = STORE_SCOPE if exchange.path == STORE_PATH else ENTRA_SCOPE
            client_id = client_of(exchange, self._apps, scope=scope)
            self.token_faults.strike(client_id)
        except RefusedError as refusal:
            return error_answer(refusal)
        token = self.tokens.issue(client_id, lifetime=self._token_lifetime)
        seconds = int(self._token_lifetime.total_seconds())
        if exchange.path == STORE_PATH:
            return json_answer(200, {"token_type": "bearer", "access_token": token, "expires_in": seconds})
        now = int(self._clock().timestamp())
        times = {"expires_in": seconds, "ext_expires_in": seconds, "expires_on": now + seconds, "not_before": now}
        texts = {name: str(value) for name, value in times.items()}  # Entra's own samples for WNS have them as text
        return json_answer(200, {"token_type": "Bearer", **texts, "access_token": token})


def _examine_headers(headers: Mapping[str, str]) -> None:
    """Raises: RefusedError."""
    content_type = CONTENT_TYPES.get(headers.get("x-wns-type", "").lower())
    if content_type is None:
        raise RefusedError(400, f"X-WNS-Type must be one of {', '.join(CONTENT_TYPES)}")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != content_type:
        raise RefusedError(400, f"Content-Type must be {content_type} for this X-WNS-Type")
    for name, fits in HEADER_RULES.items():
        if name in headers and not fits(headers[name]):
            raise RefusedError(400, f"{name} has a value it cannot have")


def _is_dropped(headers: Mapping[str, str], device: DeviceStatus) -> bool:
    """Whether WNS takes the request but not the notification.

    Popups cannot be suppressed on a desktop, and what may not be cached is lost while the device is away: toasts
    always, raw notifications unless the sender asks.
    """
    if headers.get("x-wns-suppresspopup", "").lower() == "true":
        return True
    match headers["x-wns-type"].lower():
        case "wns/toast":
            cached = False
        case "wns/raw":
            cached = headers.get("x-wns-cache-policy", "no-cache").lower() == "cache"
        case _:
            cached = headers.get("x-wns-cache-policy", "cache").lower() == "cache"
    return device == "disconnected" and not cached
