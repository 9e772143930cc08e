"""Amazon Device Messaging (Amazon, "Send a message" and "Request an access token").

An answer may name another registration id for the phone: the one that the push went to is replaced by it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import repeat
from typing import Final
from urllib.parse import quote

import orjson

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.adm.body import FIELDS, MAX_DATA, MAX_EXPIRY, MIN_EXPIRY
from hub.platforms.adm.settings import AdmSettings
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.hints import MAX_COLLAPSE_ID, fitted_key
from hub.platforms.http_sender import HttpSender
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    BY_STATUS,
    EXPIRED_CHANNEL,
    FORMAT,
    INTERFACE,
    SIZE,
    STALE_TOKEN,
    THROTTLED,
    UNKNOWN,
    Meaning,
)
from hub.push import PageVerdict, PushGroup, PushPage, SendResult
from hub.requests import UNRESERVED, Refused, RequestGroup, all_of
from hub.transport.answers import json_object, retry_after
from hub.transport.client import Transport
from hub.transport.oauth import AccessTokens

SCOPE: Final = "messaging:push"
CONNECTIONS: Final = 10

REASONS: Final[Mapping[str, Meaning]] = {
    "InvalidRegistrationId": BAD_CHANNEL,
    "Unregistered": EXPIRED_CHANNEL,
    "InvalidData": FORMAT,
    "InvalidConsolidationKey": FORMAT,
    "InvalidExpiration": FORMAT,
    "InvalidChecksum": FORMAT,
    "InvalidType": FORMAT,
    "AccessTokenExpired": STALE_TOKEN,
    "MessageTooLarge": SIZE,
    "MaxRateExceeded": THROTTLED,
}
"""By `reason`; the status decides only where there is none."""

_WITHOUT_REASON: Final[Mapping[int, Meaning]] = {**BY_STATUS, 401: STALE_TOKEN}
_LINES: Final = (
    b"content-type: application/json",
    b"accept: application/json",
    b"x-amzn-type-version: com.amazon.device.messaging.ADMMessage@1.0",
    b"x-amzn-accept-type: com.amazon.device.messaging.ADMSendResult@1.0",
)
_PATH: Final = "/messaging/registrations/"
_TEXT: Final = re.compile(r"[^\ud800-\udfff]+")


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push; one of 200 names the registration id to use from now on."""
    answer = json_object(body)
    if status == 200:
        named = answer.get("registrationID")
        if not isinstance(named, str) or not named:
            return INTERFACE
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.REFRESH_TOKEN, new_push_channel=named)
    reason = str(answer.get("reason") or "")
    reaction, outcome = REASONS.get(reason) or _WITHOUT_REASON.get(status, UNKNOWN)
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=reason or f"HTTP {status}",
        retry_after=retry_after(headers),
        lane_wide=outcome in (OutcomeName.INVALID_TOKEN, OutcomeName.THROTTLED),
        # A foreign id is as unknown to Amazon as a dead one.
        suspect=outcome is OutcomeName.BAD_CHANNEL,
    )


def body_for(group: PushGroup, *, now: datetime) -> bytes | SendResult:
    """The body that the pushes of a group share, or why it cannot be sent.

    Collapse key and time to live go where the payload does not set them. The limit of `consolidationKey` is unconfirmed: a
    key of more than 64 bytes becomes its hash.
    """
    body = json_object(group.payload)
    data = body.get("data")
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        return malformed('the payload has to be a JSON object {"data": {...}} with texts in data')
    if strange := sorted(body.keys() - FIELDS):
        return malformed(f"ADM knows no field {strange[0]}")
    if len(orjson.dumps(data)) > MAX_DATA:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_DATA} bytes of data")
    key = fitted_key(group.collapse_key, _TEXT, MAX_COLLAPSE_ID)
    if key is not None:
        body.setdefault("consolidationKey", key)
    if group.expires_at is not None:
        seconds = int((group.expires_at - now).total_seconds())
        body.setdefault("expiresAfter", min(max(seconds, MIN_EXPIRY), MAX_EXPIRY))
    return orjson.dumps(body)


def requests_for(page: PushPage, *, origin: str, token: str, now: datetime) -> Iterator[RequestGroup | Refused]:
    """The requests of a page; ADM has no headers for a caller to set."""
    lines = [f"authorization: Bearer {token}".encode(), *_LINES]
    for group, run in page.runs():
        body = body_for(group, now=now)
        if isinstance(body, SendResult):
            yield Refused(run, body)
            continue
        channels = page.push_channels[run.start : run.stop]
        quoted = channels if all_of(channels, UNRESERVED) else [quote(channel, safe="") for channel in channels]
        tails = [f"{channel}/messages" for channel in quoted]
        ids = page.ids[run.start : run.stop]
        yield RequestGroup(origin, run, _PATH, tails, lines, PUSH_ID_HEADER, ids, repeat(body))


class AdmSender(HttpSender):
    """ADM for one security profile."""

    def __init__(self, settings: AdmSettings) -> None:
        def form() -> dict[str, str]:
            return {
                "grant_type": "client_credentials",
                "scope": SCOPE,
                "client_id": settings.client_id,
                "client_secret": settings.client_secret.get_secret_value(),
            }

        super().__init__(
            Platform("adm"),
            transport=Transport(settings, connections=CONNECTIONS, answer_headers=True),
            requests=lambda page, *, token: requests_for(
                page, origin=settings.endpoint, token=token, now=datetime.now(UTC)
            ),
            verdict=verdict,
            tokens=AccessTokens(settings.token_address, form, egress=settings),
        )

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`; a registration id that stays the same is no news."""
        said = await super().send(page, deadline=deadline)
        others = {
            position: result
            for position, result in said.exceptions.items()
            if result.new_push_channel is None or result.new_push_channel != page.push_channels[position]
        }
        return PageVerdict(delivered=len(said) - len(others), exceptions=others)
