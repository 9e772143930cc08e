"""Broadcast channels of APNs: one push updates the Live Activities of all who look on (Apple, "Setting up broadcast push").

In the hub a channel is a push channel like that of a phone: an installation of it has tags, and what is sent to these tags
goes to the channel by one request.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

from hub.notification import Priority
from hub.outcome import OutcomeName
from hub.platforms.apns.handle import PREFIX
from hub.platforms.apns.hints import HINTS
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import fit_headers
from hub.platforms.results import malformed, refused
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import json_object

MAX_PAYLOAD: Final = 5120
"""Bytes; unconfirmed."""

LIVE_ACTIVITY: Final = "liveactivity"
_EVENTS = ("update", "end")


def broadcasts(
    page: PushPage, group: PushGroup, positions: Sequence[int], *, origin: str, topic: str, common: Sequence[bytes]
) -> RequestGroup | Refused:
    """The requests of a group to the broadcast channels at some positions; `common` are lines of every request."""
    lines = _lines(group)
    if isinstance(lines, SendResult):
        return Refused(positions, lines)
    return RequestGroup(
        origin,
        positions,
        f"/4/broadcasts/apps/{topic}",
        repeat(""),
        [*common, *lines],
        "apns-request-id",
        [page.ids[position] for position in positions],
        repeat(group.payload),
        "apns-channel-id",
        [page.push_channels[position].removeprefix(PREFIX) for position in positions],
    )


def _lines(group: PushGroup) -> list[bytes] | SendResult:
    """The header lines of a broadcast, or why it is not sent.

    It has no topic and no collapse id. Nothing is stored unless a header says until when: a channel that stores nothing
    takes no other expiration.
    """
    try:
        fields = fit_headers(given_fields(group.headers, allowed=("apns-",)), HINTS)
        kept: dict[str, str] = {each: fields[each] for each in ("apns-priority", "apns-expiration") if each in fields}
        kept.setdefault("apns-expiration", "0")
        kept.setdefault("apns-priority", "10" if group.priority is Priority.HIGH else "5")
        if fields.get("apns-push-type", LIVE_ACTIVITY) != LIVE_ACTIVITY:
            return malformed("a broadcast channel takes Live Activities alone")
        lines = field_lines({"apns-push-type": LIVE_ACTIVITY, **kept})
    except HeaderError as error:
        return malformed(str(error))
    aps = json_object(group.payload).get("aps")
    if not isinstance(aps, dict) or aps.get("event") not in _EVENTS:
        return malformed("a broadcast updates or ends a Live Activity: aps.event is update or end")
    if len(group.payload) > MAX_PAYLOAD:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"PayloadTooLarge: more than {MAX_PAYLOAD} bytes")
    return lines
