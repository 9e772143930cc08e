"""Windows Push Notification Services over HTTP/1.1 (Microsoft, "Push notification service request and response headers").

The push channel is a URI, so it is the endpoint: tokens go only to hosts that are WNS's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import PUSH_ID_HEADER, Push, SendResult
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import MAX_WNS_TTL, fit_headers, wns_tag
from hub.platforms.results import malformed, refused, retry_after
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CHANNEL_THROTTLED,
    EXPIRED_CHANNEL,
    FORMAT,
    OUR_BUG,
    SERVER_ERROR,
    SIZE,
    STALE_TOKEN,
    THROTTLED,
    UNAVAILABLE,
    UNKNOWN,
    WRONG_TOKEN,
    Meaning,
)
from hub.transport.client import Request, Transport
from hub.transport.http_send import Builder, send_authorized
from hub.transport.oauth import AccessTokens

TOKEN_URL: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 - an address
SCOPE: Final = "https://wns.windows.com/.default"

MAX_PAYLOAD: Final = 5000  # bytes
CHANNEL_PAUSE: Final = 600.0  # seconds for a channel that is throttled and no time named
CONNECTIONS: Final = 100  # to one host; HTTP/1.1 carries one request at a time

_CHANNEL = re.compile(r"https://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?][!-~]*)?")
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(toast|tile|badge)[\s/>]", re.DOTALL)
_GROUP: Final = "pushbridge"
"""`X-WNS-Group` of toasts whose tag is ours or a rule's: a toast is replaced by one with the same tag and group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsSettings:
    """An app registered in Microsoft Entra.

    `allowed_hosts` are the hosts a channel may be at: one that begins with a dot stands for all below it.
    `token_url` replaces Entra's, `ca_file` the trusted roots for it and for the channels.
    """

    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    token_url: str | None = None
    allowed_hosts: tuple[str, ...] = (".notify.windows.com",)
    ca_file: str | None = None


_STATUSES: Final[Mapping[int, Meaning]] = {
    400: FORMAT,
    401: STALE_TOKEN,
    403: WRONG_TOKEN,
    404: BAD_CHANNEL,
    405: OUR_BUG,
    406: THROTTLED,
    410: EXPIRED_CHANNEL,
    412: (Reaction.DROP, OutcomeName.CHANNEL_DISCONNECTED),
    413: SIZE,
    500: SERVER_ERROR,
    503: UNAVAILABLE,
}


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; WNS says it in status and headers, the body is empty."""
    said = headers.get("x-wns-status", "").lower()
    device = headers.get("x-wns-deviceconnectionstatus", "").lower()
    wait = retry_after({"retry-after": headers.get("x-wns-continue-after", "")}) or retry_after(headers)
    if status != 200:
        reaction, outcome = _STATUSES.get(status, UNKNOWN)
    elif said == "channelthrottled":
        reaction, outcome = CHANNEL_THROTTLED
        wait = CHANNEL_PAUSE if wait is None else wait
    elif said == "dropped":
        reaction = Reaction.DROP
        outcome = OutcomeName.CHANNEL_DISCONNECTED if device == "disconnected" else OutcomeName.DROPPED
    else:
        reaction, outcome = Reaction.DELIVERED, OutcomeName.SUCCESS
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason="" if reaction is Reaction.DELIVERED else _words(status, said, headers),
        pns_id=headers.get("x-wns-msg-id", ""),
        retry_after=None if reaction is Reaction.DELIVERED else wait,
        # 403 is about this channel as much as about our token: one foreign channel must not stop the lane.
        lane_wide=outcome in (OutcomeName.INVALID_TOKEN, OutcomeName.THROTTLED),
    )


def _words(status: int, said: str, headers: Mapping[str, str]) -> str:
    return headers.get("x-wns-error-description") or said or f"HTTP {status}"


def request_for(push: Push, *, token: str, allowed_hosts: Sequence[str], now: datetime) -> Request | SendResult:
    """The request, or why there cannot be one. A header given with the push wins over what would be derived.

    A hint that WNS would refuse is made to fit or left out. A toast without a tag gets one made of its collapse id: a
    push that is sent again replaces itself on the screen. A collapse key is a toast's or a tile's tag; badges replace each
    other anyhow, and a raw notification is not shown.
    """
    if not is_allowed(push.push_channel, allowed_hosts):
        # Not taken for dead: WNS has not said so, and a mistake in `allowed_hosts` must not end every registration.
        return refused(OutcomeName.BAD_CHANNEL, "the channel is not at an allowed host, or no https URI")
    try:
        fields = fit_headers(given_fields(push.headers, allowed=("x-wns-", "content-type", "ms-cv")))
        kind = fields.setdefault("x-wns-type", type_of(push.payload)).lower()
        fields.setdefault("content-type", "application/octet-stream" if kind == "wns/raw" else "text/xml")
        fields["x-wns-requestforstatus"] = "true"  # without it a dropped notification looks like a delivered one
        fields.setdefault("x-wns-priority", "1" if push.priority is Priority.HIGH else "2")
        if push.expires_at is not None:
            seconds = min(max(0, int((push.expires_at - now).total_seconds())), MAX_WNS_TTL)
            fields.setdefault("x-wns-ttl", str(seconds))
        if "x-wns-tag" not in fields:
            _put_tag(fields, kind, push)
        lines = field_lines({"authorization": f"Bearer {token}", PUSH_ID_HEADER: push.id, **fields})
    except HeaderError as error:
        return malformed(str(error))
    if len(push.payload) > MAX_PAYLOAD:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_PAYLOAD} bytes")
    return Request(push.push_channel, lines, push.payload)


def _put_tag(fields: dict[str, str], kind: str, push: Push) -> None:
    is_toast = kind == "wns/toast"
    tag = wns_tag(push.collapse_key) or (is_toast and wns_tag(push.collapse_id))
    if tag and (is_toast or kind == "wns/tile"):
        fields["x-wns-tag"] = tag
        if is_toast:
            fields.setdefault("x-wns-group", _GROUP)


def is_allowed(channel: str, allowed_hosts: Sequence[str]) -> bool:
    """Whether a channel is an https URI at one of these hosts; in doubt it is not (no user, no odd characters)."""
    match = _CHANNEL.fullmatch(channel)
    if match is None:
        return False
    host = match[1].lower()
    return any(host.endswith(one) if one.startswith(".") else host == one for one in map(str.lower, allowed_hosts))


def type_of(payload: bytes) -> str:
    """What `X-WNS-Type` has to say of a payload: raw unless its root element is toast, tile or badge."""
    root = _ROOT.match(payload)
    return f"wns/{root[1].decode()}" if root else "wns/raw"


class WnsSender:
    """WNS for one app."""

    platform = Platform.WNS

    def __init__(self, settings: WnsSettings) -> None:
        self._allowed_hosts = settings.allowed_hosts
        self._tokens = AccessTokens(
            settings.token_url or TOKEN_URL.format(tenant=settings.tenant),
            lambda: {
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "client_secret": settings.client_secret,
                "scope": SCOPE,
            },
            ca_file=settings.ca_file,
        )
        self._transport = Transport(ca_file=settings.ca_file, http2=False, connections=CONNECTIONS, answer_headers=True)

    async def send(self, pushes: Sequence[Push], *, deadline: float = 10.0) -> Sequence[SendResult]:
        """See `Sender.send`."""
        return await send_authorized(self._transport, self._tokens, pushes, self._builder, verdict, deadline=deadline)

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._transport.close()

    def _builder(self, token: str) -> Builder:
        now = datetime.now(UTC)
        return lambda push: request_for(push, token=token, allowed_hosts=self._allowed_hosts, now=now)
