"""Xiaomi Mi Push (Xiaomi, server SDK): a form to `/v3/message/regid`, authorized by the app's own secret.

Every answer has the status 200, and says by a code what it means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Final
from urllib.parse import quote_plus, urlencode

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.batches import SEPARATOR
from hub.platforms.http_sender import HttpSender
from hub.platforms.results import malformed, refused, said_no
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    BY_STATUS,
    CREDENTIALS,
    FORMAT,
    INTERFACE,
    SERVER_ERROR,
    SIZE,
    THROTTLED,
    UNKNOWN,
    Meaning,
)
from hub.platforms.xiaomi.body import MAX_CONTENT, MAX_TTL, SHOWN, TARGETS, fields_of, is_passed_through, notify_id
from hub.platforms.xiaomi.settings import XiaomiSettings
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import UNRESERVED, Refused, RequestGroup, all_of, encoded
from hub.transport.answers import json_object
from hub.transport.client import Transport

CONNECTIONS: Final = 10
BATCH: Final = 1000
"""Registration ids of a request, as Xiaomi's SDK has it; unconfirmed."""
_PATH: Final = "/v3/message/regid"

CODES: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((10001, 10002, 10003, 10009, 10010, 10011, 22102), SERVER_ERROR),
    **dict.fromkeys((10008, 10016, 10017, 10020, 10021, 22100, 22103), FORMAT),
    10018: SIZE,
    **dict.fromkeys((10022, 10023, 10024, 10027, 10028, 22101), THROTTLED),
    **dict.fromkeys((10004, 10005, 10006, 10012, 10014, 10026, *range(22000, 22009), 22021, 22022, 21301), CREDENTIALS),
    **dict.fromkeys((10013, 10029, 20301), BAD_CHANNEL),
}
"""By `code`; 20301 (no valid target) and 21301 (authorization) are unconfirmed."""


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; one of 200 without a code is not from Xiaomi."""
    said = json_object(body)
    code = said.get("code")
    if code == 0 and status == 200:
        data = said.get("data")
        if bad := _bad_ids(data):
            return replace(said_no(BAD_CHANNEL, "bad_regids", headers), only=bad)
        pns_id = str(data.get("id", "")) if isinstance(data, dict) else ""
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=pns_id)
    if isinstance(code, int):
        meaning = CODES.get(code, UNKNOWN)
        words = said.get("reason") or said.get("description")
        reason = f"{code}: {words}" if isinstance(words, str) and words else str(code)
    elif status == 200:
        return INTERFACE
    else:
        meaning = BY_STATUS.get(status, UNKNOWN)
        reason = f"HTTP {status}"
    # To another app's secret each of our registration ids is unknown.
    return said_no(meaning, reason, headers, suspects=True)


def _bad_ids(data: object) -> frozenset[str]:
    """The registration ids that an answer names as bad among those it took; the member's name is unconfirmed."""
    named = data.get("bad_regids") if isinstance(data, dict) else None
    return frozenset(filter(None, named.split(","))) if isinstance(named, str) else frozenset()


def form_for(group: PushGroup, *, package_name: str, now: datetime) -> bytes | SendResult:
    """The form that the pushes of a group share, before the registration id, or why it cannot be sent.

    What is shown has a `notify_id`, of the collapse key or else the collapse id, so that a push that is sent again
    replaces itself on the screen. Mi Push has no priority.
    """
    message = json_object(group.payload)
    if named := next((name for name in TARGETS if name in message), ""):
        return malformed(f"{named} cannot be given: the hub sends to the audience's own registration ids")
    passed = is_passed_through(message)
    if missing := next((name for name in (("payload",) if passed else SHOWN) if not message.get(name)), ""):
        return malformed(f"{missing} is missing")
    message.setdefault("pass_through", 0)
    message.setdefault("restricted_package_name", package_name)
    if group.expires_at is not None:
        left = int((group.expires_at - now).total_seconds() * 1000)
        message.setdefault("time_to_live", min(max(left, 0), MAX_TTL))
    key = group.collapse_key or group.collapse_id
    if key and not passed:
        message.setdefault("notify_id", notify_id(key))
    try:
        fields = list(fields_of(message))
    except ValueError as error:
        return malformed(str(error))
    if sum(len(value.encode()) for name, value in fields if name in (*SHOWN, "payload")) > MAX_CONTENT:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_CONTENT} bytes")
    return f"{urlencode(fields)}&registration_id=".encode()


def requests_for(
    page: PushPage, settings: XiaomiSettings, *, token: str, now: datetime
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page; Mi Push has no headers for a caller to set. `token` stands for the app's secret."""
    lines = [f"authorization: key={token}".encode(), b"content-type: application/x-www-form-urlencoded"]
    for group, run in page.runs():
        form = form_for(group, package_name=settings.package_name, now=now)
        if isinstance(form, SendResult):
            yield Refused(run, form)
            continue
        ids, channels = page.ids[run.start : run.stop], page.push_channels[run.start : run.stop]
        yield RequestGroup(
            settings.endpoint, run, _PATH, repeat(""), lines, PUSH_ID_HEADER, ids, _bodies(form, channels)
        )


def _bodies(form: bytes, channels: Sequence[str]) -> Sequence[bytes]:
    if all_of(channels, UNRESERVED):
        return [form + channel for channel in encoded(channels)]
    return [form + quote_plus(channel.replace(SEPARATOR, ",")).encode() for channel in channels]


class XiaomiSender(HttpSender):
    """Mi Push for one app."""

    def __init__(self, settings: XiaomiSettings) -> None:
        super().__init__(
            Platform("xiaomi"),
            # A refusal has the status 200, and may say how long to wait.
            transport=Transport(settings, connections=CONNECTIONS, answer_headers=True),
            requests=lambda page, *, token: requests_for(page, settings, token=token, now=datetime.now(UTC)),
            verdict=verdict,
            secret=settings.app_secret.get_secret_value(),
            batch=BATCH,
        )
