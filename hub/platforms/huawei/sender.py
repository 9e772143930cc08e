"""Huawei Push Kit (Huawei, HTTPS send API, version 1), with an access token of the app's client secret.

The forms of version 2 and 3 (projects, HarmonyOS NEXT) are unconfirmed, and not sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Final

import orjson

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.batches import SEPARATOR
from hub.platforms.hints import collapse_id
from hub.platforms.http_sender import HttpSender
from hub.platforms.huawei.body import MAX_MESSAGE, MAX_TTL, START_APP, TARGETS
from hub.platforms.huawei.settings import HuaweiSettings
from hub.platforms.results import malformed, refused, said_no
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    BY_STATUS,
    CREDENTIALS,
    FORMAT,
    INTERFACE,
    SERVER_ERROR,
    SIZE,
    STALE_TOKEN,
    THROTTLED,
    UNKNOWN,
    Meaning,
)
from hub.push import PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup
from hub.transport.answers import json_object
from hub.transport.client import Transport
from hub.transport.oauth import AccessTokens

CONNECTIONS: Final = 10
BATCH: Final = 1000
"""Tokens of a request; that this is the most is unconfirmed, and one that is refused for it goes again as two."""

CODES: Final[Mapping[str, Meaning]] = {
    **dict.fromkeys(("80100001", "80100003", "80100004", "80100013", "80100016", "80100018", "80300010"), FORMAT),
    "80100017": THROTTLED,
    **dict.fromkeys(("80200001", "80200003", "80200005"), STALE_TOKEN),
    **dict.fromkeys(("80300002", "80300011", "80300013", "80600003"), CREDENTIALS),
    **dict.fromkeys(("80100000", "80300007"), BAD_CHANNEL),
    "80300008": SIZE,
    "81000001": SERVER_ERROR,
}
"""By `code`. 80100000 says that some tokens are invalid, and names them; 80300007 says that all are."""

_SOME_ILLEGAL: Final = "80100000"
_OF_SOME: Final = (_SOME_ILLEGAL, "80300010")
"""Codes that say nothing of each token: some are invalid, or there are too many."""

_STATUSES: Final[Mapping[int, Meaning]] = {
    **BY_STATUS,
    401: STALE_TOKEN,
    404: CREDENTIALS,  # a wrong app id: no word about the phone
    503: THROTTLED,
}


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; one of 200 without a code is not from Push Kit."""
    said = json_object(body)
    code = str(said.get("code") or "")
    if code == "80000000":
        pns_id = str(said.get("requestId") or "")
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=pns_id)
    only = None
    if code in _OF_SOME:
        only = _illegal(said.get("msg"))
    if code in CODES:
        meaning = CODES[code]
    elif status == 200 and not code:
        return INTERFACE
    else:
        meaning = _STATUSES.get(status, UNKNOWN)
    words = "illegal tokens" if code == _SOME_ILLEGAL else said.get("msg")
    reason = f"{code}: {words}" if code and isinstance(words, str) and words else code
    # To another app each of our tokens is invalid, and none of them is taken.
    result = said_no(meaning, reason or f"HTTP {status}", headers, suspects=not only)
    return result if only is None else replace(result, only=only)


def _illegal(words: object) -> frozenset[str]:
    """The tokens that an answer names as illegal, in a JSON text of its own; empty where it names none."""
    named = json_object(words.encode()).get("illegal_tokens") if isinstance(words, str) else None
    return frozenset(one for one in named if isinstance(one, str)) if isinstance(named, list) else frozenset()


def body_parts(group: PushGroup, *, now: datetime) -> tuple[bytes, bytes] | SendResult:
    """The request's body before and behind the token, or why it cannot be sent.

    Urgency and time to live go into `message.android` where the payload does not set them. A notification has a tag, of the
    collapse key or else the collapse id, so that a push that is sent again replaces itself on the screen, and opens the app
    unless it says otherwise. `data` is one text for Push Kit: an object goes as its JSON. Push Kit's own `collapse_key` is
    a number up to 100, which no key can be made to fit.
    """
    envelope = json_object(group.payload)
    message = envelope.pop("message", None)
    if not isinstance(message, dict):
        return malformed('the payload has to be a JSON object {"message": {...}}')
    if named := next((name for name in TARGETS if name in message), ""):
        return malformed(f"message.{named} cannot be given: the hub sends to the audience's own tokens")
    android = message.get("android") or {}
    shown = (android.get("notification") or {}) if isinstance(android, dict) else None
    if not isinstance(android, dict) or not isinstance(shown, dict):
        return malformed("message.android and its notification have to be JSON objects")
    if isinstance(message.get("data"), dict):
        message["data"] = orjson.dumps(message["data"]).decode()
    message["android"] = _with_hints(
        group, android, shown, is_shown=bool(shown or message.get("notification")), now=now
    )
    text = orjson.dumps(message)
    if len(text) > MAX_MESSAGE:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_MESSAGE} bytes")
    rest = b"," + orjson.dumps(envelope)[1:] if envelope else b"}"
    return b'{"message":' + text[:-1] + b',"token":[', b"]}" + rest


def _with_hints(
    group: PushGroup, android: Mapping[str, Any], shown: Mapping[str, Any], *, is_shown: bool, now: datetime
) -> dict[str, Any]:
    hints: dict[str, Any] = {"urgency": "HIGH" if group.priority is Priority.HIGH else "NORMAL"}
    if group.expires_at is not None:
        hints["ttl"] = f"{min(max(int((group.expires_at - now).total_seconds()), 0), MAX_TTL)}s"
    if is_shown:
        tag = collapse_id(group.collapse_key) or group.collapse_id
        own = {"click_action": {"type": START_APP}} | ({"tag": tag} if tag else {})
        return {**hints, **android, "notification": {**own, **shown}}
    return {**hints, **android}


def requests_for(
    page: PushPage, *, origin: str, path: str, token: str, now: datetime
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page; Push Kit has no headers for a caller to set."""
    lines = [f"authorization: Bearer {token}".encode(), b"content-type: application/json; charset=UTF-8"]
    for group, run in page.runs():
        parts = body_parts(group, now=now)
        if isinstance(parts, SendResult):
            yield Refused(run, parts)
            continue
        ids, channels = page.ids[run.start : run.stop], page.push_channels[run.start : run.stop]
        yield RequestGroup(origin, run, path, repeat(""), lines, PUSH_ID_HEADER, ids, _bodies(parts, channels))


def _bodies(parts: tuple[bytes, bytes], tokens: Sequence[str]) -> Iterator[bytes]:
    head, tail = parts
    return (head + orjson.dumps(one.split(SEPARATOR))[1:-1] + tail for one in tokens)


class HuaweiSender(HttpSender):
    """Push Kit for one app."""

    def __init__(self, settings: HuaweiSettings) -> None:
        path = f"/v1/{settings.app_id}/messages:send"

        def form() -> dict[str, str]:
            return {
                "grant_type": "client_credentials",
                "client_id": settings.app_id,
                "client_secret": settings.client_secret.get_secret_value(),
            }

        super().__init__(
            Platform("huawei"),
            transport=Transport(settings, connections=CONNECTIONS),
            requests=lambda page, *, token: requests_for(
                page, origin=settings.endpoint, path=path, token=token, now=datetime.now(UTC)
            ),
            verdict=verdict,
            tokens=AccessTokens(settings.token_url, form, egress=settings),
            batch=BATCH,
        )
