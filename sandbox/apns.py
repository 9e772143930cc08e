"""A stand-in for APNs: the HTTP/2 provider API, by provider tokens and by certificates.

Standard behind it: Apple, "Sending notification requests to APNs" and "Handling notification responses from APNs".
"""

import json
import re
import ssl
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sandbox.broadcasts import BROADCASTS, BroadcastChannels
from sandbox.connection import Connection
from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Clock, Journal, utc_now
from sandbox.provider_certificate import topics_of
from sandbox.provider_token import REFRESH_WINDOW, Environment, ProviderKey, ProviderTokens, TokenHistory
from sandbox.service import PushService

PATH = "/3/device/"
MAX_PAYLOAD = 4096
MAX_VOIP_PAYLOAD = 5120
MAX_COLLAPSE_ID = 64

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DEVICE_TOKEN = re.compile(r"([0-9A-F]{2}){32,100}")

TOPIC_SUFFIXES: Mapping[str, str] = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
"""What each push type adds to the bundle id in `apns-topic`."""


@dataclass(slots=True)
class _Device:
    topic: str | None = None
    gone_since: datetime | None = None
    gone_reason: str = ""


@dataclass(slots=True)
class _Client:
    """What the service remembers of a connection."""

    tokens: TokenHistory = field(default_factory=TokenHistory)
    authenticated: bool = False
    slowed: bool = False
    certified: tuple[str, ...] | None = None
    """The topics of the certificate that it has shown; None without one."""
    bad_tokens: int = 0


class Apns(PushService):
    """APNs as far as a provider notices.

    A connection starts with one stream and gets `max_streams` with its first valid provider token. One that has shown a
    certificate has the topics that stand in it, and needs no token. `topics` are the
    bundle ids of the team. With `accept_unknown` every well-formed device token is a living device. A connection ends
    after `bad_token_limit` times BadDeviceToken in a row. With `slow_after_errors` a 4xx takes it down to one stream
    and the next 200 up again.
    """

    name = "apns"
    versions = ("h2",)

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        keys: Mapping[str, ProviderKey],
        topics: Collection[str],
        environment: Environment = "production",
        accept_unknown: bool = False,
        max_streams: int = 1000,
        bad_token_limit: int = 100,
        slow_after_errors: bool = False,
        refresh_window: timedelta = REFRESH_WINDOW,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context, max_streams=1)
        self.accept_unknown = accept_unknown
        self.slow_after_errors = slow_after_errors
        self._max_streams = max_streams
        self._bad_token_limit = bad_token_limit
        self._topics = frozenset(topics)
        self._environment = environment
        self._clock = clock
        self.tokens = ProviderTokens(keys, environment=environment, clock=clock, refresh_window=refresh_window)
        self._devices: dict[str, _Device] = {}
        self.channels = BroadcastChannels(topics)

    def register(self, handle: str, *, topic: str | None = None) -> None:
        """A device with the app on it; with `topic` it takes pushes for that bundle id only."""
        self._devices[handle.upper()] = _Device(topic=topic)

    def unregister(
        self,
        handle: str,
        *,
        since: datetime | None = None,
        reason: Literal["Unregistered", "ExpiredToken"] = "Unregistered",
    ) -> None:
        """The app is gone from the device: 410 with the time from when it is known (now unless given)."""
        self._devices[handle.upper()] = _Device(gone_since=since or self._clock(), gone_reason=reason)

    def limit_streams(self, streams: int) -> None:
        """Change what an authenticated connection gets; others keep their one stream."""
        self._max_streams = streams
        for connection in self._server.connections:
            if connection.context is not None and connection.context.authenticated:
                connection.limit_streams(streams)

    def _serve(self, exchange: Exchange) -> None:
        client = exchange.connection.context
        if client is None:
            shown = exchange.connection.certificate
            client = exchange.connection.context = _Client(certified=None if shown is None else topics_of(shown))
        if self.channels.takes(exchange.path):
            self._serve_channels(exchange, client)
            return
        token = exchange.path.removeprefix(PATH).upper()
        apns_id = exchange.headers.get("apns-id")
        refusal = None
        try:
            self._examine(exchange, token, client)
            self.faults.strike(token)
        except RefusedError as error:
            refusal = error
        if apns_id is None or not UUID.fullmatch(apns_id):
            apns_id = str(uuid.uuid4())
        self._conclude(exchange, self._answer(apns_id, refusal), handle=token, push_id=apns_id, refusal=refusal)
        self._judge(exchange.connection, client, refusal)

    def _serve_channels(self, exchange: Exchange, client: _Client) -> None:
        """What is asked of broadcast channels, and what is broadcast on one, which is a push."""
        request_id = exchange.headers.get("apns-request-id", "")
        channel = exchange.headers.get("apns-channel-id", "")
        refusal, answer = None, Answer(status=200)
        try:
            if request_id and not UUID.fullmatch(request_id):
                raise RefusedError(400, "BadMessageId")
            self._admit(exchange, client)
            answer = self.channels.answer(exchange)
            if exchange.path.startswith(BROADCASTS):
                self.faults.strike(channel)
        except RefusedError as error:
            refusal = error
            answer = self._answer(request_id or str(uuid.uuid4()), error)
        answer = Answer(
            status=answer.status, headers=(*answer.headers, ("apns-request-id", request_id)), body=answer.body
        )
        if exchange.path.startswith(BROADCASTS):
            self._conclude(exchange, answer, handle=f"channel:{channel}", push_id=request_id, refusal=refusal)
        else:
            exchange.answer(answer)

    def _admit(self, exchange: Exchange, client: _Client) -> None:
        """Raises: RefusedError: the credential is none."""
        if client.certified is None:
            self.tokens.admit(exchange.headers.get("authorization"), client.tokens)
        if not client.authenticated:
            client.authenticated = True
            exchange.connection.limit_streams(self._max_streams)

    def _answer(self, apns_id: str, refusal: RefusedError | None) -> Answer:
        headers = [("apns-id", apns_id)]
        if self._environment == "development":
            headers.append(("apns-unique-id", str(uuid.uuid4())))
        if refusal is None:
            return Answer(status=200, headers=tuple(headers))
        body: dict[str, object] = {"reason": refusal.reason, **refusal.facts}
        if refusal.status == 410:
            body.setdefault("timestamp", _milliseconds(self._clock()))
        retry_after = refusal.retry_after_value()
        if retry_after is not None:
            headers.append(("retry-after", retry_after))
        return Answer(status=refusal.status, headers=tuple(headers), body=refusal.pieces(json.dumps(body).encode()))

    def _judge(self, connection: Connection, client: _Client, refusal: RefusedError | None) -> None:
        """What a verdict means for the connection it was given on."""
        if refusal is None:
            client.bad_tokens = 0
            if client.slowed:
                client.slowed = False
                connection.limit_streams(self._max_streams)
            return
        if refusal.reason == "BadDeviceToken":
            client.bad_tokens += 1
            if client.bad_tokens == self._bad_token_limit:
                connection.goaway(reason="BadDeviceToken")
        is_error = 400 <= refusal.status < 500 and refusal.status != 410  # Apple does not count a 410 as one
        if self.slow_after_errors and is_error and client.authenticated and not client.slowed:
            client.slowed = True
            connection.limit_streams(1)

    def _examine(self, exchange: Exchange, token: str, client: _Client) -> None:
        """Everything APNs looks at, in its order.

        Raises: RefusedError.
        """
        headers = exchange.headers
        if exchange.repeated:
            raise RefusedError(400, "DuplicateHeaders")
        if "apns-id" in headers and not UUID.fullmatch(headers["apns-id"]):
            raise RefusedError(400, "BadMessageId")
        if exchange.method != "POST":
            raise RefusedError(405, "MethodNotAllowed")
        push_type = _examine_headers(headers, has_topic=client.certified is not None and len(client.certified) == 1)
        if not exchange.path.startswith(PATH):
            raise RefusedError(404, "BadPath")
        if not token:
            raise RefusedError(400, "MissingDeviceToken")
        topic = headers.get("apns-topic") or (client.certified or ("",))[0]
        self._examine_device(token, _bundle_id(topic, push_type))
        if client.certified is None:
            self.tokens.admit(headers.get("authorization"), client.tokens)
        elif topic not in client.certified:
            raise RefusedError(400, "TopicDisallowed")
        if not client.authenticated:
            client.authenticated = True
            exchange.connection.limit_streams(self._max_streams)
        size = len(exchange.body)
        if size == 0:
            raise RefusedError(400, "PayloadEmpty")
        if size > (MAX_VOIP_PAYLOAD if push_type == "voip" else MAX_PAYLOAD):
            raise RefusedError(413, "PayloadTooLarge")

    def _examine_device(self, token: str, bundle_id: str) -> None:
        device = self._devices.get(token)
        if device is None:
            if not self.accept_unknown or not DEVICE_TOKEN.fullmatch(token):
                raise RefusedError(400, "BadDeviceToken")
        elif device.gone_since is not None:
            raise RefusedError(410, device.gone_reason, timestamp=_milliseconds(device.gone_since))
        elif device.topic not in (None, bundle_id):
            raise RefusedError(400, "DeviceTokenNotForTopic")
        if bundle_id not in self._topics:
            raise RefusedError(400, "TopicDisallowed")


def _examine_headers(headers: Mapping[str, str], *, has_topic: bool) -> str:
    """The push type, once every header but the credential is found to be right; with `has_topic` none has to be named.

    Raises: RefusedError.
    """
    if not headers.get("apns-topic") and not has_topic:
        raise RefusedError(400, "MissingTopic")
    if len(headers.get("apns-collapse-id", "").encode("latin-1")) > MAX_COLLAPSE_ID:
        raise RefusedError(400, "BadCollapseId")
    if not headers.get("apns-expiration", "0").isdecimal():
        raise RefusedError(400, "BadExpirationDate")
    priority = headers.get("apns-priority")
    push_type = headers.get("apns-push-type", "alert")
    if priority not in (None, "10", "5", "1") or (push_type == "background" and priority == "10"):
        raise RefusedError(400, "BadPriority")
    if push_type not in TOPIC_SUFFIXES:
        raise RefusedError(400, "InvalidPushType")
    return push_type


def _bundle_id(topic: str, push_type: str) -> str:
    """The topic without what its push type adds to it. A suffix that belongs to another push type is a bad topic.

    Raises: RefusedError.
    """
    suffix = TOPIC_SUFFIXES[push_type]
    if not topic.endswith(suffix):
        raise RefusedError(400, "BadTopic")
    bundle_id = topic.removesuffix(suffix)
    if any(other and bundle_id.endswith(other) for other in TOPIC_SUFFIXES.values()):
        raise RefusedError(400, "BadTopic")
    return bundle_id


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
