"""Firebase Cloud Messaging, HTTP v1 over HTTP/2 (Firebase, "REST Resource: projects.messages" and "ErrorCode")."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Final

import orjson

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.fcm.body import MAX_PAYLOAD, TARGETS
from hub.platforms.fcm.handle import FID_PREFIX, Target, targets_of
from hub.platforms.fcm.hints import HINTS, MAX_TTL, fcm_key, fcm_text
from hub.platforms.fcm.service_account import ServiceAccountAssertion
from hub.platforms.fcm.settings import FcmSettings
from hub.platforms.http_sender import HttpSender
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CREDENTIALS,
    FORMAT,
    INTERFACE,
    SERVER_ERROR,
    SIZE,
    STALE_TOKEN,
    THROTTLED,
    UNAVAILABLE,
    UNKNOWN,
    WRONG_CHANNEL,
    Meaning,
)
from hub.push import DELIVERED, PageVerdict, PushGroup, PushPage, SendResult
from hub.requests import UNRESERVED, Refused, RequestGroup, all_of, encoded
from hub.transport.answers import json_object, retry_after
from hub.transport.client import Transport
from hub.transport.oauth import AccessTokens

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"

QUOTA_PAUSE: Final = 60.0  # seconds; what Google asks for after a 429 that names no time
SERVER_PAUSE: Final = 10.0  # seconds; likewise after a 500
STREAMS: Final = 100  # requests at once on a connection; Google's own SDK stays at this
CONNECTIONS: Final = 10
_PLAIN: Final = UNRESERVED + b":"
"""What Google's tokens are made of; JSON has it as it is."""


ERROR_CODES: Final[Mapping[str, Meaning]] = {
    "UNREGISTERED": BAD_CHANNEL,
    "SENDER_ID_MISMATCH": (Reaction.GONE, OutcomeName.INVALID_CREDENTIALS),
    "QUOTA_EXCEEDED": THROTTLED,
    "THIRD_PARTY_AUTH_ERROR": CREDENTIALS,
    "APNS_AUTH_ERROR": CREDENTIALS,
    "INTERNAL": SERVER_ERROR,
    "UNAVAILABLE": UNAVAILABLE,
    "UNSPECIFIED_ERROR": UNKNOWN,
}
"""By `FcmError.errorCode`; `INVALID_ARGUMENT` has several meanings, see `_invalid_argument`."""

_WITHOUT_CODE: Final[Mapping[int, Meaning]] = {
    401: STALE_TOKEN,
    403: CREDENTIALS,
    404: CREDENTIALS,  # a wrong project or path: no word about the phone
    429: THROTTLED,
    500: SERVER_ERROR,
    502: SERVER_ERROR,
    503: UNAVAILABLE,
    504: SERVER_ERROR,
}
_PAUSES: Final[Mapping[OutcomeName, float]] = {
    OutcomeName.THROTTLED: QUOTA_PAUSE,
    OutcomeName.CHANNEL_THROTTLED: QUOTA_PAUSE,
    OutcomeName.PNS_SERVER_ERROR: SERVER_PAUSE,
}
_ONE_PLATFORM: Final = {"THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"}  # a key inside the Firebase project, not ours


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push."""
    if status == 200:
        return DELIVERED if b'"name"' in body else INTERFACE
    error = json_object(body).get("error")
    error = error if isinstance(error, dict) else {}
    details = _objects(error.get("details"))
    code = _error_code(details)
    if code in ERROR_CODES:
        reaction, outcome = ERROR_CODES[code]
    elif status == 400:
        reaction, outcome = _invalid_argument(str(error.get("message", "")), details)
    else:
        reaction, outcome = _WITHOUT_CODE.get(status, UNKNOWN)
    if outcome is OutcomeName.THROTTLED and _is_about_one_target(details):
        outcome = OutcomeName.CHANNEL_THROTTLED
    wait = retry_after(headers)
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=code or str(error.get("status") or f"HTTP {status}"),
        retry_after=_PAUSES.get(outcome) if wait is None else wait,
        suspect=reaction is Reaction.GONE and code != "UNREGISTERED",
        lane_wide=(reaction is Reaction.CONFIG and code not in _ONE_PLATFORM) or outcome is OutcomeName.THROTTLED,
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _error_code(details: Sequence[Mapping[str, Any]]) -> str:
    codes = (detail.get("errorCode") for detail in details if str(detail.get("@type", "")).endswith("fcm.v1.FcmError"))
    return str(next(codes, None) or "")


def _invalid_argument(message: str, details: Sequence[Mapping[str, Any]]) -> Meaning:
    """Google has one code for a bad token, a bad field and a big message; fields say it best, then the words do."""
    fields = {
        str(violation.get("field")) for detail in details for violation in _objects(detail.get("fieldViolations"))
    }
    words = message.lower()
    if fields:
        return BAD_CHANNEL if fields in ({"message.token"}, {"message.fid"}) else FORMAT
    if "too big" in words:
        return SIZE
    if "package name" in words:
        return WRONG_CHANNEL
    if "registration token" in words:
        return BAD_CHANNEL
    return FORMAT


def _is_about_one_target(details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a `google.rpc.QuotaFailure` names the quota of a device or a topic, not the project's."""
    subjects = " ".join(
        f"{violation.get('subject', '')} {violation.get('description', '')}".lower()
        for detail in details
        for violation in _objects(detail.get("violations"))
    )
    return "device" in subjects or "topic" in subjects


def body_parts(group: PushGroup, *, now: datetime) -> tuple[bytes, bytes] | SendResult:
    """The request's body before and behind its target, or why the payload cannot be sent.

    Priority, time to live and collapse key go into `message.android` where the payload does not set them, and are made
    to fit. A notification that is shown has a tag too: the collapse key, else the collapse id, so that a push that is
    sent again replaces itself on the screen. The collapse id is no `collapse_key`: FCM keeps four of those for a phone
    that is away. A hint that would make the payload too large is left out. One payload may never name a target: it goes
    to the phones of the audience alone.
    """
    envelope = json_object(group.payload)
    message = envelope.get("message")
    if not isinstance(message, dict):
        return malformed('the payload has to be a JSON object {"message": {...}}')
    targets = [name for name in TARGETS if name in message]
    if targets:
        return malformed(f"message.{targets[0]} cannot be given: the hub sends to the audience's own tokens")
    android = message.pop("android", None)
    android = {} if android is None else android  # null is as good as absent in the JSON of protocol buffers
    if not isinstance(android, dict):
        return malformed("message.android has to be a JSON object")
    android = _fit_given(android)
    room = MAX_PAYLOAD - sum(map(_size, (message.get("data"), message.get("notification"), android)))
    if room < 0:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_PAYLOAD} bytes of keys and values")
    _put_hints(group, message, android, room=room, now=now)
    if android:
        message["android"] = android
    rest = {name: value for name, value in envelope.items() if name != "message"}
    tail = b"," + orjson.dumps(rest)[1:] if rest else b"}"
    text = orjson.dumps(message)
    return b'{"message":{', (b"," + text[1:] if message else b"}") + tail


def _fit_given(android: Mapping[str, Any]) -> dict[str, Any]:
    """The payload's own `message.android`, each hint in it made to fit or left out."""
    given = {}
    for name, value in android.items():
        fit = HINTS.get(name)
        kept = value if fit is None else fit(value)
        if fit is None or kept is not None:
            given[name] = kept
    notification = given.get("notification")
    if isinstance(notification, dict) and "tag" in notification:
        tag = fcm_text(notification["tag"])
        rest = {name: value for name, value in notification.items() if name != "tag"}
        given["notification"] = rest if tag is None else {**rest, "tag": tag}
    return given


def _put_hints(
    group: PushGroup, message: Mapping[str, Any], android: dict[str, Any], *, room: int, now: datetime
) -> None:
    """Put into `android` what it does not say yet and has room for, the most important first."""
    key = fcm_key(group.collapse_key)
    hints = {"priority": "high" if group.priority is Priority.HIGH else "normal"}
    if group.expires_at is not None:
        seconds = int((group.expires_at - now).total_seconds())
        hints["ttl"] = f"{min(max(seconds, 0), MAX_TTL)}s"
    if key is not None and "collapseKey" not in android:
        hints["collapse_key"] = key
    for name, value in hints.items():
        cost = _size({name: value})
        if name not in android and cost <= room:
            android[name] = value
            room -= cost
    tag = key or group.collapse_id
    shown = android.get("notification")
    if tag and (message.get("notification") or shown) and isinstance(shown, dict | None):
        shown = shown or {}
        cost = _size({"tag": tag}) + ("notification" not in android) * len("notification")
        if "tag" not in shown and cost <= room:
            android["notification"] = {**shown, "tag": tag}


def _size(value: object) -> int:
    match value:
        case None:
            return 0
        case dict():
            return sum(_size(name) + _size(one) for name, one in value.items())
        case list():
            return sum(map(_size, value))
        case _:
            return len(str(value).encode())


def requests_for(
    page: PushPage, *, origin: str, path: str, token: str, now: datetime
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page. FCM has no headers of its own: those of the pushes are not sent."""
    lines = [f"authorization: Bearer {token}".encode(), b"content-type: application/json"]
    for group, run in page.runs():
        parts = body_parts(group, now=now)
        if isinstance(parts, SendResult):
            yield Refused(run, parts)
            continue
        channels = page.push_channels[run.start : run.stop]
        ids = page.ids[run.start : run.stop]
        yield RequestGroup(origin, run, path, repeat(""), lines, PUSH_ID_HEADER, ids, _bodies(parts, channels))


def _bodies(parts: tuple[bytes, bytes], channels: Sequence[str]) -> Sequence[bytes]:
    head, tail = parts
    if all_of(channels, _PLAIN) and FID_PREFIX not in "".join(channels):
        before, behind = head + b'"token":"', b'"' + tail
        return [before + token + behind for token in encoded(channels)]
    return [
        head + b'"%b":%b' % (kind.encode(), orjson.dumps(value)) + tail
        for kind, value in (targets_of(channel)[0] for channel in channels)
    ]


class FcmSender(HttpSender):
    """FCM for one service account and project.

    A push to an installation id that is refused goes once more to the token that stands beside it, and the one that
    succeeds is the push channel from then on.

    Raises: ValueError: the private key is unusable.
    """

    def __init__(self, settings: FcmSettings) -> None:
        account = settings.account
        path = f"/v1/projects/{account.project_id}/messages:send"
        assertion = ServiceAccountAssertion(
            client_email=account.client_email,
            private_key=account.private_key,
            private_key_id=account.private_key_id,
            audience=account.token_uri,
            scope=SCOPE,
        )
        super().__init__(
            Platform.FCM,
            transport=Transport(settings, connections=CONNECTIONS, streams=STREAMS),
            requests=lambda page, *, token: requests_for(
                page, origin=settings.origin, path=path, token=token, now=datetime.now(UTC)
            ),
            verdict=verdict,
            tokens=AccessTokens(account.token_uri, assertion.form, egress=settings),
        )

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`."""
        pairs = dict(_with_two(page.push_channels))
        if not pairs:
            return await super().send(page, deadline=deadline)
        ends_at = asyncio.get_running_loop().time() + deadline
        said = await super().send(page, deadline=deadline)
        exceptions = dict(said.exceptions)
        unknown = [position for position in pairs if _may_be_other(exceptions.get(position))]
        for position in pairs.keys() - exceptions.keys():
            exceptions[position] = _renamed(pairs[position][0])
        if unknown:
            second = page.select(unknown)
            second.push_channels = [pairs[position][1].push_channel for position in unknown]
            again = await super().send(second, deadline=ends_at - asyncio.get_running_loop().time())
            for place, position in enumerate(unknown):
                exceptions[position] = again.exceptions.get(place) or _renamed(pairs[position][1])
        return PageVerdict(delivered=len(page) - len(exceptions), exceptions=dict(sorted(exceptions.items())))


def _with_two(channels: Sequence[str]) -> Iterator[tuple[int, Sequence[Target]]]:
    """The positions of push channels that name an installation id and a token, with both."""
    if "{" not in "".join(channels):  # as nearly always
        return
    for position, channel in enumerate(channels):
        if channel.startswith("{") and len(targets := targets_of(channel)) == 2:
            yield position, targets


def _may_be_other(result: SendResult | None) -> bool:
    """Whether an answer to an installation id may be about it alone: to another one it would be another answer."""
    if result is None:
        return False
    return result.reaction is Reaction.GONE or result.outcome is OutcomeName.INVALID_NOTIFICATION_FORMAT


def _renamed(target: Target) -> SendResult:
    return SendResult(
        reaction=Reaction.DELIVERED, outcome=OutcomeName.REFRESH_TOKEN, new_push_channel=target.push_channel
    )
