"""Windows Push Notification Services over HTTP/1.1 (Microsoft, "Push notification service request and response headers").

The push channel is a URI, so it is the endpoint: tokens go only to hosts that are WNS's.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.channel_uris import hosts_and_below, requests_to
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import fit_headers
from hub.platforms.http_sender import HttpSender
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CHANNEL_THROTTLED,
    EXPIRED_CHANNEL,
    FORMAT,
    INTERFACE,
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
from hub.platforms.wns.hints import HINTS, MAX_TTL, wns_tag
from hub.platforms.wns.payload import MAX_PAYLOAD, REPLACEABLE, type_of
from hub.platforms.wns.settings import WnsSettings
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import retry_after
from hub.transport.client import Transport
from hub.transport.oauth import AccessTokens

CHANNEL_PAUSE: Final = 600.0  # seconds for a channel that is throttled and no time named
CONNECTIONS: Final = 100  # to one host; HTTP/1.1 carries one request at a time

_GROUP: Final = "pushbridge"
"""`X-WNS-Group` of toasts whose tag is ours or a rule's: a toast is replaced by one with the same tag and group."""


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
    if status == 200 and body and not said:
        return INTERFACE
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


def headers_for(group: PushGroup, *, token: str, now: datetime) -> list[bytes] | SendResult:
    """The header lines that the pushes of a group share, or why they cannot be sent.

    A header given with the push wins over what would be derived. A hint that WNS would refuse is made to fit or left out.
    A toast without a tag gets one made of its collapse id: a push that is sent again replaces itself on the screen. A
    collapse key is a toast's or a tile's tag; badges replace each other anyhow, and a raw notification is not shown.
    """
    try:
        fields = fit_headers(given_fields(group.headers, allowed=("x-wns-", "content-type", "ms-cv")), HINTS)
        kind = fields.setdefault("x-wns-type", type_of(group.payload)).lower()
        fields.setdefault("content-type", "application/octet-stream" if kind == "wns/raw" else "text/xml")
        fields["x-wns-requestforstatus"] = "true"  # without it a dropped notification looks like a delivered one
        fields.setdefault("x-wns-priority", "1" if group.priority is Priority.HIGH else "2")
        if group.expires_at is not None:
            seconds = min(max(0, int((group.expires_at - now).total_seconds())), MAX_TTL)
            fields.setdefault("x-wns-ttl", str(seconds))
        if "x-wns-tag" not in fields:
            _put_tag(fields, kind, group)
        lines = field_lines({"authorization": f"Bearer {token}", **fields})
    except HeaderError as error:
        return malformed(str(error))
    if len(group.payload) > MAX_PAYLOAD:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_PAYLOAD} bytes")
    return lines


def _put_tag(fields: dict[str, str], kind: str, group: PushGroup) -> None:
    is_toast = kind == "wns/toast"
    tag = wns_tag(group.collapse_key) or (is_toast and wns_tag(group.collapse_id))
    if tag and kind in REPLACEABLE:
        fields["x-wns-tag"] = tag
        if is_toast:
            fields.setdefault("x-wns-group", _GROUP)


def requests_for(
    page: PushPage, *, token: str, allowed_hosts: Sequence[str], now: datetime
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page: a group each for what shares header lines and the origin of its channels."""
    for group, run in page.runs():
        lines = headers_for(group, token=token, now=now)
        yield from requests_to(page, run, lines, group.payload, allowed_hosts)


class WnsSender(HttpSender):
    """WNS for one app."""

    def __init__(self, settings: WnsSettings) -> None:
        super().__init__(
            Platform.WNS,
            transport=Transport(settings, http2=False, connections=CONNECTIONS, answer_headers=True),
            requests=lambda page, *, token: requests_for(
                page, token=token, allowed_hosts=hosts_and_below(settings.allowed_hosts), now=datetime.now(UTC)
            ),
            verdict=verdict,
            tokens=AccessTokens(
                settings.token_address,
                lambda: settings.token_form,
                egress=settings,
            ),
        )
