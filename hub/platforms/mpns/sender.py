"""Microsoft Push Notification Service (Windows Phone 7 and 8), which Microsoft has retired.

The push channel is a URI. One that says http is asked by https all the same, which is unconfirmed of the old service.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.channel_uris import hosts_and_below, requests_to
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.http_sender import HttpSender
from hub.platforms.mpns.payload import CLASSES, TARGETS, kind_of
from hub.platforms.mpns.settings import MpnsSettings
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CREDENTIALS,
    FORMAT,
    INTERFACE,
    OUR_BUG,
    SERVER_ERROR,
    SIZE,
    THROTTLED,
    UNAVAILABLE,
    UNKNOWN,
    Meaning,
)
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import retry_after
from hub.transport.client import Transport

MAX_PAYLOAD: Final = 3072
"""Bytes; unconfirmed."""

CONNECTIONS: Final = 10
MINUTES_PAUSE: Final = 60.0  # seconds; Microsoft asked for minutes
HOUR_PAUSE: Final = 3600.0

_STATUSES: Final[Mapping[int, Meaning]] = {
    400: FORMAT,
    401: CREDENTIALS,
    404: BAD_CHANNEL,
    405: OUR_BUG,
    406: THROTTLED,
    412: (Reaction.THROTTLED, OutcomeName.CHANNEL_DISCONNECTED),
    413: SIZE,
    500: SERVER_ERROR,
    503: UNAVAILABLE,
}
_PAUSES: Final[Mapping[int, float]] = {406: HOUR_PAUSE, 412: HOUR_PAUSE, 503: MINUTES_PAUSE}
_NOTIFICATION_STATUSES: Final[Mapping[str, Meaning]] = {
    "queuefull": (Reaction.THROTTLED, OutcomeName.DROPPED),
    "suppressed": (Reaction.DROP, OutcomeName.DROPPED),
    "dropped": (Reaction.DROP, OutcomeName.DROPPED),
}


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; MPNS says it in status and headers. 401 and 406 are about the channel alone."""
    said = headers.get("x-notificationstatus", "").lower()
    if status == 200 and body and not said:
        return INTERFACE
    wait = retry_after(headers)
    if status == 200 and said not in _NOTIFICATION_STATUSES:
        pns_id = headers.get("x-messageid", "")
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=pns_id)
    pause = MINUTES_PAUSE if said == "queuefull" else _PAUSES.get(status)
    reaction, outcome = _NOTIFICATION_STATUSES[said] if status == 200 else _STATUSES.get(status, UNKNOWN)
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=said if status == 200 else f"HTTP {status}",
        retry_after=pause if wait is None else wait,
    )


def headers_for(group: PushGroup) -> list[bytes] | SendResult:
    """The header lines that the pushes of a group share, or why they are not sent; target and class follow the payload."""
    try:
        fields = given_fields(group.headers, allowed=("x-",))
        kind = kind_of(group.payload)
        if kind in TARGETS:
            fields.setdefault("x-windowsphone-target", TARGETS[kind])
        at_once = CLASSES[kind]
        fields.setdefault("x-notificationclass", str(at_once if group.priority is Priority.HIGH else at_once + 10))
        lines = field_lines({"content-type": "text/xml", **fields})
    except HeaderError as error:
        return malformed(str(error))
    if len(group.payload) > MAX_PAYLOAD:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_PAYLOAD} bytes")
    return lines


def requests_for(page: PushPage, *, allowed_hosts: Sequence[str]) -> Iterator[RequestGroup | Refused]:
    """The requests of a page: a group each for what shares header lines and the origin of its channels."""
    page = PushPage(
        push_channels=[
            "https" + each[4:] if each.lower().startswith("http://") else each for each in page.push_channels
        ],
        ids=page.ids,
        groups=page.groups,
    )
    for group, run in page.runs():
        yield from requests_to(page, run, headers_for(group), group.payload, allowed_hosts)


class MpnsSender(HttpSender):
    """MPNS, anonymous or with a client certificate."""

    def __init__(self, settings: MpnsSettings) -> None:
        super().__init__(
            Platform("mpns"),
            transport=Transport(settings, http2=False, connections=CONNECTIONS, answer_headers=True),
            requests=lambda page, *, token: requests_for(page, allowed_hosts=hosts_and_below(settings.allowed_hosts)),
            verdict=verdict,
        )
