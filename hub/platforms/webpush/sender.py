"""Web Push (RFC 8030) with VAPID and encrypted messages, to push services at any host.

Who registers a browser says where its pushes go. So each origin has connections of its own, none is made to a private
address, no answer speaks for another origin, and no redirect is followed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from hub.characters import CONTROLS
from hub.egress import is_listed
from hub.errors import InvalidRequestError
from hub.notification import Platform, Priority
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import PUSH_ID_HEADER
from hub.platforms.headers import HeaderError, field_lines, given_fields
from hub.platforms.hints import collapse_id, fit_headers
from hub.platforms.results import malformed, refused
from hub.platforms.verdict_classes import (
    BAD_CHANNEL,
    CREDENTIALS,
    EXPIRED_CHANNEL,
    FORMAT,
    OUR_BUG,
    SERVER_ERROR,
    SIZE,
    THROTTLED,
    UNAVAILABLE,
    UNKNOWN,
    WRONG_TOKEN,
    Meaning,
)
from hub.platforms.webpush.encryption import encrypted, point_of
from hub.platforms.webpush.hints import HINTS, MAX_TTL, topic
from hub.platforms.webpush.payload import message_of
from hub.platforms.webpush.settings import WebPushSettings
from hub.platforms.webpush.sizes import MAX_MESSAGE
from hub.platforms.webpush.subscription import Subscription, subscription_of
from hub.platforms.webpush.vapid import VapidKey, VapidTokens
from hub.push import PageVerdict, PushGroup, PushPage, SendResult
from hub.requests import Refused, RequestGroup, Requests
from hub.transport.answers import json_object, retry_after
from hub.transport.client import Transport
from hub.transport.http_send import post, send_renewing

CONNECTIONS: Final = 4  # to one origin
STREAMS: Final = 100  # on a connection, what RFC 9113 recommends a server to take at least
ORIGINS: Final = 1000  # to which there are connections at a time
CLOSE_AFTER: Final = 60.0  # seconds that an origin is idle
FEW: Final = 8  # pushes that are encrypted at once on the loop: half a millisecond

_MAX_WORDS: Final = 200
_WINDOWS: Final = "notify.windows.com"
_FOREIGN: Final = refused(OutcomeName.BAD_CHANNEL, "the endpoint is at none of the hosts of allowed_endpoints")
_NO_SUBSCRIPTION: Final = refused(OutcomeName.BAD_CHANNEL, "the subscription has no usable keys or endpoint")

_STATUSES: Final[Mapping[int, Meaning]] = {
    400: FORMAT,
    401: CREDENTIALS,
    403: WRONG_TOKEN,
    404: BAD_CHANNEL,
    405: OUR_BUG,
    406: THROTTLED,
    408: UNAVAILABLE,
    410: EXPIRED_CHANNEL,
    413: SIZE,
    429: THROTTLED,
    500: SERVER_ERROR,
    502: SERVER_ERROR,
    503: UNAVAILABLE,
    504: SERVER_ERROR,
    507: UNAVAILABLE,
}
"""406 is how WNS throttles, which serves Edge; 507 is how ntfy says that no app has asked for the topic lately."""

_REASONS: Final[Mapping[str, Meaning]] = {
    "BadJwtToken": CREDENTIALS,
    "ExpiredJwtToken": CREDENTIALS,
    "VapidPkHashMismatch": WRONG_TOKEN,
}
"""What Apple says with 400 or 403, as integrators saw it."""


def verdict(status: int, headers: Mapping[str, str], body: bytes) -> SendResult:
    """What an answer means for its push (RFC 8030, sections 5 and 7.3).

    Only 404 and 410 end a subscription. Nothing is about the whole service: the host that answered may be anybody's. A wait
    that it asks for is for all pushes to it, as push services count those of a sender.
    """
    if status in (200, 201, 202):
        location = headers.get("location", "")
        return SendResult(reaction=Reaction.DELIVERED, outcome=OutcomeName.SUCCESS, pns_id=location)
    said = json_object(body)
    reaction, outcome = _STATUSES.get(status, UNKNOWN)
    if status in (400, 403):
        reaction, outcome = _REASONS.get(str(said.get("reason")), (reaction, outcome))
    return SendResult(
        reaction=reaction,
        outcome=outcome,
        reason=_words(status, headers, said, body),
        retry_after=retry_after(headers),
        host_wide=reaction is Reaction.THROTTLED,
    )


def _words(status: int, headers: Mapping[str, str], said: Mapping[str, object], body: bytes) -> str:
    """Why, in the service's words: Apple's `reason`, Mozilla's `message`, ntfy's `error`, a header of WNS's, or a text."""
    if status // 100 == 3:
        return f"HTTP {status}: redirects are not followed"
    errno = said.get("errno")
    words = next((said[name] for name in ("reason", "message", "error") if isinstance(said.get(name), str)), "")
    text = str(words) or headers.get("x-wns-error-description", "") or ("" if said else body.decode("utf-8", "replace"))
    text = CONTROLS.sub(" ", text).strip()[:_MAX_WORDS]
    return (f"{text} (errno {errno})" if isinstance(errno, int) else text) or f"HTTP {status}"


def shared_by(
    group: PushGroup, settings: WebPushSettings, *, now: datetime
) -> tuple[bytes, dict[str, str], str] | SendResult:
    """The message, the header fields and the topic that the pushes of a group share, or why none of them is sent.

    A header given with the push wins over what would be derived. A hint that services would refuse is made to fit or left
    out. A notification has a tag: the collapse key, else the collapse id, so that a push that is sent again replaces itself
    on the screen. The collapse id is no topic: some services keep four of those for a browser that is away.
    """
    try:
        fields = fit_headers(given_fields(group.headers, allowed=tuple(HINTS)), HINTS)
    except HeaderError as error:
        return malformed(str(error))
    left = MAX_TTL if group.expires_at is None else int((group.expires_at - now).total_seconds())
    fields.setdefault("ttl", str(min(max(0, left), MAX_TTL)))
    fields.setdefault("urgency", "high" if group.priority is Priority.HIGH else "normal")
    own_topic = fields.pop("topic", "") or topic(group.collapse_key) or ""
    fields |= {"content-encoding": "aes128gcm", "content-type": "application/octet-stream"}
    tag = collapse_id(group.collapse_key) or group.collapse_id
    message = message_of(group.payload, tag=tag, navigate=settings.navigate, declarative=settings.declarative)
    if len(message) > MAX_MESSAGE:
        return refused(OutcomeName.INVALID_NOTIFICATION_SIZE, f"more than {MAX_MESSAGE} bytes")
    return message, fields, own_topic


def requests_for(
    page: PushPage, settings: WebPushSettings, *, authorization: Callable[[str], str], now: datetime
) -> Iterator[RequestGroup | Refused]:
    """The requests of a page: a group each for what shares header fields and the origin of its endpoints.

    A body is encrypted when it is read.
    """
    for group, run in page.runs():
        made = shared_by(group, settings, now=now)
        if isinstance(made, SendResult):
            yield Refused(run, made)
            continue
        message, fields, own_topic = made
        by_origin: dict[str, list[_Addressed]] = {}
        for position in run:
            addressed = _addressed(position, page.push_channels[position], settings.allowed_endpoints)
            if isinstance(addressed, SendResult):
                yield Refused([position], addressed)
            else:
                by_origin.setdefault(addressed[1].origin, []).append(addressed)
        for origin, addressees in by_origin.items():
            own = {"authorization": authorization(origin), **fields, **_own_fields(origin, fields["ttl"])}
            yield RequestGroup(
                origin,
                [position for position, *_ in addressees],
                "",
                [subscription.endpoint[len(origin) :] for _, subscription, _ in addressees],
                field_lines(own),
                PUSH_ID_HEADER,
                [page.ids[position] for position, *_ in addressees],
                _bodies(message, addressees),
                "topic" if own_topic else "",
                [own_topic] * len(addressees) if own_topic else (),
            )


_Addressed = tuple[int, Subscription, ec.EllipticCurvePublicKey]
"""A position, its subscription, and the subscription's point."""


def _addressed(position: int, push_channel: str, allowed_endpoints: Sequence[str]) -> _Addressed | SendResult:
    """Where a push goes, or why it does not. Not taken for dead: only its service's word ends a subscription."""
    try:
        subscription = subscription_of(push_channel)
        if allowed_endpoints and not is_listed(urlsplit(subscription.endpoint).hostname or "", allowed_endpoints):
            return _FOREIGN
        return position, subscription, point_of(subscription.p256dh)
    except (
        InvalidRequestError,
        ValueError,
        KeyError,
        TypeError,
        AssertionError,
    ):  # registered before keys were looked at
        return _NO_SUBSCRIPTION


def _own_fields(origin: str, ttl: str) -> dict[str, str]:
    """What one service asks for beside the standard: WNS, which serves Edge, refuses a TTL that its cache policy denies."""
    host = urlsplit(origin).hostname or ""
    if not is_listed(host, (_WINDOWS,)):
        return {}
    return {"x-wns-cache-policy": "no-cache" if ttl == "0" else "cache"}


def _bodies(message: bytes, addressees: Sequence[_Addressed]) -> Iterator[bytes]:
    return (encrypted(message, point, to.p256dh, to.auth) for _, to, point in addressees)


class WebPushSender:
    """Web Push for one key.

    Raises: ValueError: the key is unusable, see `VapidKey`.
    """

    platform = Platform.BROWSER

    def __init__(self, settings: WebPushSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        key = VapidKey(settings.key.get_secret_value())
        self._tokens = VapidTokens(key, subject=settings.subject, clock=clock)
        self._transport = Transport(
            settings,
            connections=CONNECTIONS,
            streams=STREAMS,
            answer_headers=True,
            origins=ORIGINS,
            close_after=CLOSE_AFTER,
            only_to=settings.addresses,
        )
        self._encrypting = ThreadPoolExecutor(1, thread_name_prefix="web-push")
        self._closed = False

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """See `Sender.send`."""
        return await send_renewing(page, self._send, _is_stale, deadline=deadline)

    def requests(self, page: PushPage, *, token: str) -> Requests:
        """See `Sender.requests`; `token` stands for the whole value of `authorization`."""
        return requests_for(
            page, self._settings, authorization=lambda _: token, now=datetime.fromtimestamp(self._clock(), UTC)
        )

    async def close(self) -> None:
        """See `Sender.close`."""
        self._closed = True
        await self._transport.close()
        self._encrypting.shutdown(wait=False)

    async def _send(self, page: PushPage, deadline: float) -> PageVerdict:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + deadline
        requests: Requests = requests_for(
            page,
            self._settings,
            authorization=self._tokens.authorization,
            now=datetime.fromtimestamp(self._clock(), UTC),
        )
        if len(page) > FEW and not self._closed:
            requests = await loop.run_in_executor(self._encrypting, _made, requests)
        left = ends_at - loop.time()
        said = await post(self._transport, requests, verdict, deadline=left, in_order=page.in_order)
        exceptions = dict(said.exceptions)
        for position, result in said.exceptions.items():
            if result.outcome is OutcomeName.BAD_CHANNEL and result.reaction is Reaction.DROP:
                continue  # nothing was sent, and there may be no subscription
            to = subscription_of(page.push_channels[position])
            if _is_stale(result):
                self._tokens.forget(to.origin)
            if to.secret and to.secret in result.reason:
                # Who knows the endpoint can push to the browser, so it is in no log, whoever repeats it.
                exceptions[position] = replace(result, reason=result.reason.replace(to.secret, "[endpoint]"))
        return PageVerdict(delivered=said.delivered, exceptions=exceptions)


def _made(requests: Requests) -> list[RequestGroup | Refused]:
    """The same with all bodies encrypted; for a thread."""
    return [each if isinstance(each, Refused) else each._replace(bodies=list(each.bodies)) for each in requests]


def _is_stale(result: SendResult) -> bool:
    return result.outcome is OutcomeName.INVALID_CREDENTIALS
