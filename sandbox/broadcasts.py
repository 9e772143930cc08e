"""Broadcast channels of APNs: made, read, listed and deleted, and what a broadcast has to be.

Standard behind it: Apple, "Sending channel management requests to APNs" and "Setting up broadcast push".
"""

import base64
import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from sandbox.exchange import Answer, Exchange, RefusedError

BROADCASTS = "/4/broadcasts/apps/"
MAX_PAYLOAD = 5120
"""Bytes; unconfirmed."""
MAX_CHANNELS = 10_000

_MANAGED = re.compile(r"/1/apps/([^/]+)/(channels|all-channels)")
_PUSH_TYPE = "LiveActivity"


@dataclass(frozen=True, slots=True)
class _Channel:
    app: str
    policy: int


class BroadcastChannels:
    """Those of the apps of one team; `most` bounds those of an app, and `apps` are those that may have any."""

    def __init__(self, apps: Collection[str]) -> None:
        self.most = MAX_CHANNELS
        self._apps = frozenset(apps)
        self._channels: dict[str, _Channel] = {}

    def make(self, app: str, *, policy: int = 0) -> str:
        """A channel that somebody else has made; its id."""
        channel = base64.b64encode(secrets.token_bytes(16)).decode()
        self._channels[channel] = _Channel(app, policy)
        return channel

    def drop(self, channel: str) -> None:
        """Somebody else has deleted it."""
        del self._channels[channel]

    def takes(self, path: str) -> bool:
        """Whether a path is about channels."""
        return path.startswith(BROADCASTS) or _MANAGED.fullmatch(path) is not None

    def answer(self, exchange: Exchange) -> Answer:
        """What becomes of a request whose credential is good.

        Raises: RefusedError.
        """
        if exchange.path.startswith(BROADCASTS):
            self._examine_broadcast(exchange)
            return Answer(status=200)
        managed = _MANAGED.fullmatch(exchange.path)
        assert managed is not None
        app, kind = managed.groups()
        if app not in self._apps:
            raise RefusedError(400, "FeatureNotEnabled" if "push-type" not in app else "TopicDisallowed")
        match kind, exchange.method:
            case "channels", "POST":
                return self._create(app, exchange.body)
            case "channels", "GET":
                channel = self._named(app, exchange)
                return _json(200, {"message-storage-policy": channel.policy, "push-type": _PUSH_TYPE})
            case "channels", "DELETE":
                self._named(app, exchange)
                del self._channels[exchange.headers["apns-channel-id"]]
                return Answer(status=204)
            case "all-channels", "GET":
                return _json(200, {"channels": [id for id, each in self._channels.items() if each.app == app]})
            case _:
                raise RefusedError(405, "MethodNotAllowed")

    def _create(self, app: str, body: bytes) -> Answer:
        try:
            asked = json.loads(body)
        except ValueError:
            raise RefusedError(400, "BadRequestPayload") from None
        if not isinstance(asked, dict) or asked.get("message-storage-policy") not in (0, 1):
            raise RefusedError(400, "BadRequestPayload")
        if asked.get("push-type") != _PUSH_TYPE:
            raise RefusedError(400, "InvalidPushType")
        if sum(each.app == app for each in self._channels.values()) >= self.most:
            raise RefusedError(400, "CannotCreateChannelConfig")
        channel = self.make(app, policy=asked["message-storage-policy"])
        return Answer(status=201, headers=(("apns-channel-id", channel),))

    def _named(self, app: str, exchange: Exchange) -> _Channel:
        id = exchange.headers.get("apns-channel-id", "")
        if not id:
            raise RefusedError(400, "MissingChannelId")
        channel = self._channels.get(id)
        if channel is None or channel.app != app:
            raise RefusedError(
                400, "ChannelNotRegistered" if re.fullmatch(r"[A-Za-z0-9+/=]{24}", id) else "BadChannelId"
            )
        return channel

    def _examine_broadcast(self, exchange: Exchange) -> None:
        """Raises: RefusedError."""
        headers = exchange.headers
        app = exchange.path.removeprefix(BROADCASTS)
        if exchange.method != "POST":
            raise RefusedError(405, "MethodNotAllowed")
        if app not in self._apps:
            raise RefusedError(400, "TopicDisallowed")
        channel = self._named(app, exchange)
        push_type = headers.get("apns-push-type")
        if push_type is None:
            raise RefusedError(400, "MissingPushType")
        if push_type.lower() != "liveactivity":
            raise RefusedError(400, "InvalidPushType")
        if headers.get("apns-priority", "10") not in ("10", "5", "1"):
            raise RefusedError(400, "BadPriority")
        expiration = headers.get("apns-expiration", "0")
        if not expiration.isdecimal() or (channel.policy == 0 and expiration != "0"):
            raise RefusedError(400, "BadExpirationDate")
        if not exchange.body:
            raise RefusedError(400, "PayloadEmpty")
        if len(exchange.body) > MAX_PAYLOAD:
            raise RefusedError(413, "PayloadTooLarge")


def _json(status: int, body: object) -> Answer:
    return Answer(status=status, headers=(("content-type", "application/json"),), body=(json.dumps(body).encode(),))
