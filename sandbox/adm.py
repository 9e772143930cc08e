"""A stand-in for Amazon Device Messaging: its token endpoint, and messages to registration ids.

Standard behind it: Amazon, "Request an access token" and "Send a message". A phone may have got another registration id
since: the answer names it, as Amazon's does.
"""

import base64
import hashlib
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import orjson

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Clock, Journal, utc_now
from sandbox.oauth import ClientCredentials, json_answer, refusal_answer
from sandbox.service import PUSH_ID_HEADER, PushService

TOKEN_PATH = "/auth/O2/token"  # noqa: S105 - an address
SCOPE = "messaging:push"
TOKEN_LIFETIME = timedelta(seconds=3600)
MAX_DATA = 6144
MIN_EXPIRY, MAX_EXPIRY = 60, 31 * 86_400

_BEFORE, _BEHIND = "/messaging/registrations/", "/messages"
_TYPES = {
    "content-type": "application/json",
    "accept": "application/json",
    "x-amzn-type-version": "com.amazon.device.messaging.ADMMessage@1.0",
    "x-amzn-accept-type": "com.amazon.device.messaging.ADMSendResult@1.0",
}
_FIELDS = {"data", "consolidationKey", "expiresAfter", "md5", "priority", "notification"}
_MIN_ID = 20


class Adm(PushService):
    """ADM as far as a sender notices, for one security profile.

    `apps` maps client ids to secrets. `token_faults` are those of the token endpoint. With `accept_unknown` every
    registration id that is long enough belongs to a living app.
    """

    name = "adm"
    versions = ("h2", "http/1.1")

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        apps: Mapping[str, str],
        accept_unknown: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self._oauth = ClientCredentials(apps, path=TOKEN_PATH, scope=SCOPE, lifetime=TOKEN_LIFETIME, clock=clock)
        self.token_faults = self._oauth.faults
        self.tokens = self._oauth.tokens
        self._known: dict[str, str | None] = {}

    @property
    def token_url(self) -> str:
        """Where access tokens are had."""
        return self.url + self._oauth.path

    def register(self, handle: str) -> None:
        """An app that takes messages."""
        self._known[handle] = handle

    def unregister(self, handle: str) -> None:
        """The app is gone from the device."""
        self._known[handle] = None

    def rename(self, handle: str, new: str) -> None:
        """The app has another registration id from now on; both reach it."""
        self._known[handle] = self._known[new] = new

    def _serve(self, exchange: Exchange) -> None:
        if exchange.path == self._oauth.path:
            self._oauth.serve(exchange)
            return
        handle = unquote(exchange.path.removeprefix(_BEFORE).removesuffix(_BEHIND))
        refusal, current = None, handle
        try:
            current = self._examine(exchange, handle)
            self.faults.strike(handle)
        except RefusedError as error:
            refusal = error
        answer = _answer(current) if refusal is None else _error_answer(refusal)
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        self._conclude(exchange, answer, handle=handle, push_id=push_id, refusal=refusal)

    def _examine(self, exchange: Exchange, handle: str) -> str:
        """Everything ADM looks at, and the registration id that the app has now.

        Raises: RefusedError.
        """
        if self.tokens.owner(exchange.headers.get("authorization")) is None:
            raise RefusedError(401, "AccessTokenExpired")
        if not exchange.path.startswith(_BEFORE) or not exchange.path.endswith(_BEHIND):
            raise RefusedError(404)
        if exchange.method != "POST":
            raise RefusedError(405)
        for name, value in _TYPES.items():
            if exchange.headers.get(name) != value:
                raise RefusedError(400, "InvalidType")
        self._examine_message(exchange.body)
        known = self._known.get(handle, handle if self.accept_unknown and len(handle) >= _MIN_ID else "")
        if known is None:
            raise RefusedError(400, "Unregistered")
        if not known:
            raise RefusedError(400, "InvalidRegistrationId")
        return known

    def _examine_message(self, body: bytes) -> None:
        """Raises: RefusedError."""
        message = _object(body)
        data = message.get("data")
        if (
            message.keys() - _FIELDS
            or not isinstance(data, dict)
            or not all(isinstance(one, str) for one in data.values())
        ):
            raise RefusedError(400, "InvalidData")
        if len(orjson.dumps(data)) > MAX_DATA:
            raise RefusedError(413, "MessageTooLarge")
        key = message.get("consolidationKey", "none")
        if not isinstance(key, str) or not 0 < len(key.encode()) <= 64:
            raise RefusedError(400, "InvalidConsolidationKey")
        expiry = message.get("expiresAfter", MIN_EXPIRY)
        if type(expiry) is not int or not MIN_EXPIRY <= expiry <= MAX_EXPIRY:
            raise RefusedError(400, "InvalidExpiration")
        if message.get("md5", checksum(data)) != checksum(data):
            raise RefusedError(400, "InvalidChecksum")


def checksum(data: Mapping[str, str]) -> str:
    """The `md5` of a message's data (Amazon, "Send a message"): of `key:value` sorted by key, with commas between."""
    text = ",".join(f"{key}:{data[key]}" for key in sorted(data))
    return base64.b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()


def _object(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise RefusedError(400, "InvalidData")
    return message


def _answer(registration_id: str) -> Answer:
    return json_answer(200, {"registrationID": registration_id})


def _error_answer(refusal: RefusedError) -> Answer:
    return refusal_answer(refusal, {"reason": refusal.reason})
