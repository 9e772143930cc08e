"""Baidu Cloud Push, REST API 3.0: a signed form to `/push/single_device`.

What most of Baidu's codes mean is unconfirmed; of 30608 alone it is known that the phone is gone.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Final
from urllib.parse import quote, quote_plus, urlencode

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.baidu.settings import BaiduSettings
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.headers import HeaderError, given_fields
from hub.platforms.http_sender import HttpSender
from hub.platforms.results import malformed, refused, said_no
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    BY_STATUS,
    CREDENTIALS,
    FORMAT,
    INTERFACE,
    OUR_BUG,
    SERVER_ERROR,
    THROTTLED,
    UNKNOWN,
    Meaning,
)
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import json_object
from hub.transport.client import Transport

MAX_PAYLOAD: Final = 4096
"""Bytes; unconfirmed."""

MESSAGE_TYPE: Final = "x-baidu-message-type"
CONNECTIONS: Final = 10
_PATH: Final = "/rest/3.0/push/single_device"
_ANDROID: Final = "3"
_LINES: Final = (
    b"content-type: application/x-www-form-urlencoded;charset=utf-8",
    b"user-agent: BCCS_SDK/3.0 (pushbridge) Python",  # Baidu is said to look at it
)

CODES: Final[Mapping[int, Meaning]] = {
    30600: SERVER_ERROR,
    30601: OUR_BUG,
    30602: FORMAT,
    30603: CREDENTIALS,
    30604: THROTTLED,
    30605: UNKNOWN,  # "data not found": a dead phone, perhaps
    30607: CREDENTIALS,  # our clock
    30608: BAD_CHANNEL,
}


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; one of 200 without a `request_id` is not from Baidu."""
    said = json_object(body)
    code = said.get("error_code")
    if status == 200 and code is None and "request_id" in said:
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=str(said["request_id"]))
    if isinstance(code, int):
        meaning = CODES.get(code, UNKNOWN)
        reason = f"{code}: {said['error_msg']}" if isinstance(said.get("error_msg"), str) else str(code)
    elif status == 200:
        return INTERFACE
    else:
        meaning = BY_STATUS.get(status, UNKNOWN)
        reason = f"HTTP {status}"
    return said_no(meaning, reason, headers)


def signature(url: str, fields: Mapping[str, str], secret: str) -> str:
    """The parameter `sign` of a POST: MD5 over method, address, sorted parameters and secret, as PHP escapes them."""
    text = f"POST{url}{''.join(f'{name}={fields[name]}' for name in sorted(fields))}{secret}"
    return hashlib.md5(quote_plus(text).replace("~", "%7E").encode(), usedforsecurity=False).hexdigest()


def requests_for(page: PushPage, settings: BaiduSettings, *, secret: str, now: int) -> Iterator[RequestGroup | Refused]:
    """The requests of a page; a phone's channel is what follows the hyphen of its push channel."""
    for group, run in page.runs():
        fields = fields_for(group, api_key=settings.api_key, now=now)
        if isinstance(fields, SendResult):
            yield Refused(run, fields)
            continue
        channels = [each.partition("-")[2] for each in page.push_channels[run.start : run.stop]]
        bodies = _bodies(fields, channels, settings.endpoint + _PATH, secret)
        ids = page.ids[run.start : run.stop]
        yield RequestGroup(settings.endpoint, run, _PATH, repeat(""), _LINES, PUSH_ID_HEADER, ids, bodies)


def fields_for(group: PushGroup, *, api_key: str, now: int) -> dict[str, str] | SendResult:
    """The parameters that the pushes of a group share, or why it cannot be sent.

    A payload with a title is a notification, any other one a message for the app, unless a header says which.
    """
    try:
        given = given_fields(group.headers, allowed=(MESSAGE_TYPE,))
    except HeaderError as error:
        return malformed(str(error))
    if not json_object(group.payload):
        return malformed("the payload has to be a JSON object")
    if len(group.payload) > MAX_PAYLOAD:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_PAYLOAD} bytes")
    kind = given.get(MESSAGE_TYPE) or ("1" if "title" in json_object(group.payload) else "0")
    if kind not in ("0", "1"):
        return malformed(f"{MESSAGE_TYPE} is 0 for a message and 1 for a notification")
    fields = {
        "apikey": api_key,
        "device_type": _ANDROID,
        "msg": group.payload.decode(),
        "msg_type": kind,
        "timestamp": str(now),
    }
    if group.expires_at is not None:
        fields["msg_expires"] = str(max(0, int(group.expires_at.timestamp()) - now))
    return fields


def _bodies(fields: Mapping[str, str], channels: list[str], url: str, secret: str) -> Iterator[bytes]:
    for channel in channels:
        own = {**fields, "channel_id": channel}
        yield urlencode({**own, "sign": signature(url, own, secret)}, quote_via=quote).encode()


class BaiduSender(HttpSender):
    """Baidu Cloud Push for one app."""

    def __init__(self, settings: BaiduSettings, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(
            Platform("baidu"),
            transport=Transport(settings, http2=False, connections=CONNECTIONS),
            requests=lambda page, *, token: requests_for(page, settings, secret=token, now=int(clock())),
            verdict=verdict,
            secret=settings.secret_key.get_secret_value(),
        )
