"""Apple Push Notification service over HTTP/2 (Apple, "Sending notification requests to APNs").

By a provider token, or by a certificate. A push costs one request over the shared transport; what
all pushes of a page have in common is worked out once.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from typing import Final

from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.apns.broadcast import broadcasts
from hub.platforms.apns.certificate import MDM
from hub.platforms.apns.connections import TokenConnections
from hub.platforms.apns.ended import with_routine_ends
from hub.platforms.apns.handle import PREFIX
from hub.platforms.apns.hints import COLLAPSE_ID, HINTS, MAX_EXPIRATION
from hub.platforms.apns.payload import ALERT, BACKGROUND, MAX_PAYLOAD, MAX_VOIP_PAYLOAD, TOPIC_SUFFIXES, push_type_of
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.apns.token import ProviderToken
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import collapse_id, fit_headers
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CHANNEL_THROTTLED,
    CREDENTIALS,
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
    UNREACHABLE,
    WRONG_CHANNEL,
    WRONG_TOKEN,
    Meaning,
)
from hub.push import DELIVERED, PageVerdict, PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup, Requests
from hub.transport.answers import json_object, retry_after
from hub.transport.client import Transport
from hub.transport.http_send import post, send_renewing

TOO_MANY_REQUESTS_PAUSE: Final = 60.0  # seconds; Apple names no time for a device that gets too much

REASONS: Final[Mapping[str, Meaning]] = {
    "BadCollapseId": FORMAT,
    "BadDeviceToken": BAD_CHANNEL,
    "BadExpirationDate": FORMAT,
    "BadMessageId": FORMAT,
    "BadPriority": FORMAT,
    "BadTopic": CREDENTIALS,
    "DeviceTokenNotForTopic": WRONG_CHANNEL,
    "DuplicateHeaders": FORMAT,
    "IdleTimeout": UNREACHABLE,
    "InvalidPushType": FORMAT,
    "MissingDeviceToken": (Reaction.DROP, OutcomeName.BAD_CHANNEL),
    "MissingTopic": CREDENTIALS,
    "PayloadEmpty": FORMAT,
    "TopicDisallowed": CREDENTIALS,
    "BadCertificate": CREDENTIALS,
    "BadCertificateEnvironment": CREDENTIALS,
    "ExpiredProviderToken": STALE_TOKEN,
    "InvalidProviderToken": CREDENTIALS,
    "MissingProviderToken": CREDENTIALS,
    "UnrelatedKeyIdInToken": WRONG_TOKEN,
    "BadEnvironmentKeyIdInToken": WRONG_TOKEN,
    "Forbidden": CREDENTIALS,
    "BadPath": OUR_BUG,
    "MethodNotAllowed": OUR_BUG,
    "Unregistered": EXPIRED_CHANNEL,
    "ExpiredToken": EXPIRED_CHANNEL,
    "PayloadTooLarge": SIZE,
    "TooManyRequests": CHANNEL_THROTTLED,
    "TooManyProviderTokenUpdates": THROTTLED,
    "InternalServerError": SERVER_ERROR,
    "ServiceUnavailable": UNAVAILABLE,
    "Shutdown": UNAVAILABLE,
    # Of broadcast channels (Apple, "Handling error responses from Apple Push Notification service")
    "MissingChannelId": BAD_CHANNEL,
    "BadChannelId": BAD_CHANNEL,
    "ChannelNotRegistered": BAD_CHANNEL,
    "FeatureNotEnabled": CREDENTIALS,
    "CannotCreateChannelConfig": CREDENTIALS,
    "TopicMismatch": CREDENTIALS,
    "BadRequestParams": FORMAT,
    "BadRequestPayload": FORMAT,
    "MissingPushType": FORMAT,
    "Service Unavailable": UNAVAILABLE,
}
"""Apple, "Handling notification responses from APNs"; the reason decides, the status only where there is none."""

_WITHOUT_REASON: Final[Mapping[int, Meaning]] = {
    403: CREDENTIALS,
    404: OUR_BUG,
    405: OUR_BUG,
    410: EXPIRED_CHANNEL,
    413: SIZE,
    429: CHANNEL_THROTTLED,
    500: SERVER_ERROR,
    503: UNAVAILABLE,
}

_EARLY: Final = "TooManyProviderTokenUpdates"
_STALE: Final = {"ExpiredProviderToken", "UnrelatedKeyIdInToken", _EARLY}
"""Sent once more over a new connection: on the old one Apple goes on refusing."""

_DOUBTFUL: Final = {"BadDeviceToken", "DeviceTokenNotForTopic"}
_CLOSES_CONNECTION: Final = frozenset({"IdleTimeout", "Shutdown"})
_SPOILS_CONNECTION: Final = _STALE | {"InvalidProviderToken"} | _CLOSES_CONNECTION
_PATH: Final = "/3/device/"
_NO_TOKEN: Final = refused(OutcomeName.BAD_CHANNEL, "BadDeviceToken: letters and digits only")


_EXPIRED: Final = SendResult(
    reaction=Reaction.CONFIG,
    outcome=OutcomeName.INVALID_CREDENTIALS,
    reason="the certificate has expired",
    lane_wide=True,
)


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push."""
    if status == 200:
        return INTERFACE if body else DELIVERED
    answer = json_object(body)
    reason = str(answer.get("reason", ""))
    reaction, outcome = REASONS.get(reason) or _WITHOUT_REASON.get(status, UNKNOWN)
    wait = retry_after(headers)
    if wait is None and outcome is OutcomeName.CHANNEL_THROTTLED:
        wait = TOO_MANY_REQUESTS_PAUSE
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=reason or f"HTTP {status}",
        pns_id=headers.get("apns-id", ""),
        retry_after=wait,
        gone_since=_moment(answer.get("timestamp")) if reaction is Reaction.GONE else None,
        lane_wide=reaction is Reaction.CONFIG or outcome is OutcomeName.THROTTLED,
        suspect=reason in _DOUBTFUL,
    )


def headers_for(
    group: PushGroup, *, topic: str, push_type: str | None = None, topics: Collection[str] = ()
) -> tuple[Sequence[bytes], str] | SendResult:
    """The header lines that the pushes of a group share, and their collapse id or "", or why they cannot be sent.

    A header given with the push wins over what would be derived; `push_type` is of pushes that give none. A hint that Apple
    would refuse is made to fit or left out. `apns-priority` is left out where it is Apple's default.
    """
    try:
        if group.headers:
            lines, key, push_type, topic = _given(group, topic, push_type)
        else:
            push_type = push_type_of({}, group.payload, usual=push_type)
            is_normal, expires_at = group.priority is Priority.NORMAL, group.expires_at
            lines, topic = _derived(push_type, topic, is_normal, None if expires_at is None else expires_at.timestamp())
            key = ""
    except HeaderError as error:
        return malformed(str(error))
    # Push types but alerts show nothing that could be replaced.
    key = key or collapse_id(group.collapse_key) or (group.collapse_id if push_type == ALERT else "")
    if topics and topic not in topics:
        reason = f"TopicDisallowed: the certificate is not for {topic}"
        return refused(OutcomeName.INVALID_CREDENTIALS, reason)
    limit = MAX_VOIP_PAYLOAD if push_type == "voip" else MAX_PAYLOAD
    if len(group.payload) > limit:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"PayloadTooLarge: more than {limit} bytes")
    if not group.payload:
        return malformed("PayloadEmpty")
    return lines, key


def _given(group: PushGroup, topic: str, push_type: str | None) -> tuple[Sequence[bytes], str, str, str]:
    """Of a group with headers of its own: its lines, the collapse id that they give or "", push type and topic.

    Raises: HeaderError.
    """
    fields = fit_headers(given_fields(group.headers, allowed=("apns-",)), HINTS)
    fields.pop("apns-id", None)  # a push has one id on every try
    push_type = push_type_of(fields, group.payload, usual=push_type)
    expires_at = None if group.expires_at is None else group.expires_at.timestamp()
    _complete(fields, push_type, topic, group.priority is Priority.NORMAL, expires_at)
    key = fields.pop(COLLAPSE_ID, "")
    return _lines_of(tuple(fields.items())), key, push_type, fields["apns-topic"]


@lru_cache(maxsize=256)
def _lines_of(fields: tuple[tuple[str, str], ...]) -> Sequence[bytes]:
    """Pushes of one template have the same, nearly always. Raises: HeaderError."""
    return field_lines(dict(fields))


@lru_cache(maxsize=256)
def _derived(push_type: str, topic: str, is_normal: bool, expires_at: float | None) -> tuple[Sequence[bytes], str]:
    """Of a group without headers: its lines, and its topic. Raises: HeaderError."""
    fields: dict[str, str] = {}
    _complete(fields, push_type, topic, is_normal, expires_at)
    return field_lines(fields), fields["apns-topic"]


def _complete(fields: dict[str, str], push_type: str, topic: str, is_normal: bool, expires_at: float | None) -> None:
    """Add what is derived; `expires_at` is in seconds since 1970 UTC."""
    fields["apns-push-type"] = push_type
    fields.setdefault("apns-topic", topic.removesuffix(suffix := TOPIC_SUFFIXES.get(push_type, "")) + suffix)
    if push_type == BACKGROUND or is_normal:
        fields.setdefault("apns-priority", "5")
    if push_type == BACKGROUND and fields["apns-priority"] == "10":
        fields["apns-priority"] = "5"  # Apple calls 10 an error for a background push
    if expires_at is not None:
        fields.setdefault("apns-expiration", str(min(max(int(expires_at), 0), MAX_EXPIRATION)))


def requests_for(
    page: PushPage,
    *,
    origin: str,
    topic: str,
    token: str,
    push_type: str | None = None,
    topics: Collection[str] = (),
    broadcast_origin: str = "",
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page: a group each for what shares its header lines, and one for its broadcast channels.

    Without a token the connection's certificate is for some `topics`; Apple would refuse another one.

    The collapse id of a single push is its own, so that its group can be joined with others; that of many pushes is one of
    their lines.
    """
    common = [b"content-type: application/json"]
    if token:
        common.insert(0, f"authorization: bearer {token}".encode())
    for group, run in page.runs():
        positions: Sequence[int] = run
        channels = page.push_channels[run.start : run.stop]
        ids = page.ids[run.start : run.stop]
        if not (all(channels) and _are_tokens("".join(channels))):
            to_many = [position for position in run if page.push_channels[position].startswith(PREFIX)]
            if to_many:
                app = bundle_id_of(topic)
                yield broadcasts(page, group, to_many, origin=broadcast_origin or origin, topic=app, common=common)
            positions = [position for position in run if _are_tokens(page.push_channels[position])]
            if wrong := sorted(set(run).difference(to_many, positions)):
                # Refused here and not taken for dead: only Apple's word ends a registration.
                yield Refused(wrong, _NO_TOKEN)
            channels = [page.push_channels[position] for position in positions]
            ids = [page.ids[position] for position in positions]
        if not positions:
            continue
        headers = headers_for(group, topic=topic, push_type=push_type, topics=topics)
        if isinstance(headers, SendResult):
            yield Refused(positions, headers)
            continue
        lines, key = headers
        bodies, shared = repeat(group.payload), [*common, *lines]
        if key and len(ids) == 1:
            yield RequestGroup(origin, positions, _PATH, channels, shared, "apns-id", ids, bodies, COLLAPSE_ID, [key])
            continue
        if key:
            shared.append(f"{COLLAPSE_ID}: {key}".encode())
        yield RequestGroup(origin, positions, _PATH, channels, shared, "apns-id", ids, bodies)


def bundle_id_of(topic: str) -> str:
    """The app of a topic: without what a push type puts behind it."""
    suffix = next((each for each in TOPIC_SUFFIXES.values() if topic.endswith(each)), "")
    return topic.removesuffix(suffix)


def _are_tokens(text: str) -> bool:
    return text.isascii() and text.encode().isalnum()  # a table for bytes, look-ups for text


def provider_token(settings: ApnsSettings, clock: Callable[[], float]) -> ProviderToken:
    """What signs for the key of these settings. Raises: ValueError: there is no key, or it is unusable."""
    if settings.key is None or settings.key_id is None or settings.team_id is None:
        raise ValueError("there is no key that signs provider tokens")
    key = settings.key.get_secret_value()
    return ProviderToken(key=key, key_id=settings.key_id, team_id=settings.team_id, clock=clock)


class ApnsSender:
    """APNs for one key and one app.

    Raises: ValueError: the key is unusable, see `ProviderToken`, or there is none.
    """

    platform = Platform.APNS

    def __init__(self, settings: ApnsSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._topic = settings.topic or ""
        self._push_type = settings.push_type
        self._origin = settings.origin
        self._broadcast_origin = settings.broadcast_origin
        self._token = provider_token(settings, clock)
        self._early = ("", 0)  # a token that Apple found too early, and on connections of which generation
        self._connections = TokenConnections(lambda: Transport(settings))

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`."""
        return with_routine_ends(page, await send_renewing(page, self._send, _is_stale, deadline=deadline))

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """See `Sender.requests`."""
        return requests_for(
            page,
            origin=self._origin,
            topic=self._topic,
            token=token,
            push_type=self._push_type,
            broadcast_origin=self._broadcast_origin,
        )

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._connections.close()

    async def _send(self, page: PushPage, deadline: float) -> PageVerdict:
        token = self._token.current()
        requests = self.requests(page, token=token)
        async with self._connections.of(token) as transport:
            generation = transport.generation
            said = await post(transport, requests, verdict, deadline=deadline, in_order=page.in_order)
            reasons = {result.reason for result in said.exceptions.values()}
            if not reasons.isdisjoint(_SPOILS_CONNECTION):
                transport.renew(since=generation)
        if _EARLY in reasons:
            self._found_early(token, generation)
        if "ExpiredProviderToken" in reasons:
            self._token.expire(token)
        return said

    def _found_early(self, token: str, generation: int) -> None:
        """Stay with the token before where new connections did not help: then Apple counts for the whole team."""
        refused, since = self._early
        if refused != token:
            self._early = (token, generation)
        elif generation > since:
            self._token.refuse_update(token)
            self._early = ("", 0)


class ApnsCertificateSender:
    """APNs for one certificate. Raises: ValueError: the certificate is unusable."""

    platform = Platform.APNS

    def __init__(self, settings: ApnsSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._certificate = certificate = settings.read_certificate()
        self._topic = settings.topic or certificate.topics[0]
        self._push_type = settings.push_type or ("mdm" if self._topic.startswith(MDM) else None)
        self._origin = settings.origin
        self._broadcast_origin = settings.broadcast_origin
        self._clock = clock
        self._transport = Transport(settings, identity=certificate.show)

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`. Apple's TLS would say no more of an expired certificate than that it ends the connection."""
        if self._certificate.is_expired(self._clock()):
            return PageVerdict(exceptions=dict.fromkeys(range(len(page)), _EXPIRED))
        generation = self._transport.generation
        requests = self.requests(page, token="")
        said = await post(self._transport, requests, verdict, deadline=deadline, in_order=page.in_order)
        if any(result.reason in _CLOSES_CONNECTION for result in said.exceptions.values()):
            self._transport.renew(since=generation)
        return with_routine_ends(page, said)

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """See `Sender.requests`; there is no token."""
        return requests_for(
            page,
            origin=self._origin,
            topic=self._topic,
            token="",
            push_type=self._push_type,
            topics=self._certificate.topics,
            broadcast_origin=self._broadcast_origin,
        )

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._transport.close()


def _is_stale(result: SendResult) -> bool:
    return result.reason in _STALE


def _moment(milliseconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if isinstance(milliseconds, int) else None
    except (ValueError, OverflowError, OSError):  # no year that there is: as good as not said
        return None
