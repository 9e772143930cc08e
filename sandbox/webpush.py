"""A stand-in for the push service of a browser: Web Push with VAPID and encrypted messages, over HTTP/2 and HTTP/1.1.

Standards behind it: RFC 8030, RFC 8291 and RFC 8292. It says errors as Mozilla's service does.
"""

import json
import re
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Clock, Journal, utc_now
from sandbox.server import HOST, Version
from sandbox.service import PUSH_ID_HEADER, PushService
from sandbox.subscriptions import UnreadableError, base64url, decrypted, keys_of
from sandbox.vapid import VapidTokens

PATH = "/push/"
MAX_BODY = 4096
MAX_TTL = 30 * 24 * 3600

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES = frozenset({"very-low", "low", "normal", "high"})
_ERRNOS = {400: 110, 401: 109, 403: 109, 404: 102, 410: 106, 413: 104, 503: 201}
_OTHER_ERRNO = 999


@dataclass(slots=True)
class _Known:
    """A subscription: the key it was made for, as 65 bytes, and whether the browser has ended it."""

    vapid_key: bytes
    expired: bool = False


class WebPush(PushService):
    """A push service as far as a sender notices; it holds the browsers' private keys, and reads each message.

    Subscriptions are made for `vapid_key`, the 65 bytes of a public key. With `accept_unknown` every well-formed endpoint
    of this service is the one of a living browser.
    """

    name = "browser"
    versions: ClassVar[tuple[Version, ...]] = ("h2", "http/1.1")

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        vapid_key: bytes,
        accept_unknown: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self.tokens = VapidTokens(clock=clock)
        self._vapid_key = vapid_key
        self._known: dict[str, _Known] = {}

    def push_channel(self, token: str) -> str:
        """The subscription of the browser whose endpoint ends with `token`, as JSON."""
        keys = keys_of(token)
        fields = {
            "endpoint": f"{self.url}{PATH}{token}",
            "p256dh": base64url(keys.p256dh),
            "auth": base64url(keys.auth),
        }
        return json.dumps(fields, separators=(",", ":"))

    def register(self, handle: str, *, vapid_key: bytes | None = None) -> None:
        """A living browser, which subscribed with `vapid_key` if it is given."""
        self._known[self._token(handle)] = _Known(vapid_key or self._vapid_key)

    def unregister(self, handle: str) -> None:
        """The browser has ended its subscription: 410."""
        self._known[self._token(handle)].expired = True

    def _token(self, handle: str) -> str:
        endpoint: str = json.loads(handle)["endpoint"]
        return endpoint.removeprefix(self.url + PATH)

    def _serve(self, exchange: Exchange) -> None:
        token = exchange.path.removeprefix(PATH)
        handle = self.push_channel(token)
        refusal, message = None, exchange.body
        try:
            message = self._examine(exchange, token)
            self.faults.strike(handle)
        except RefusedError as error:
            refusal = error
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        answer = self._answer(exchange, push_id, refusal)
        self._conclude(exchange, answer, handle=handle, push_id=push_id, refusal=refusal, payload=message)

    def _answer(self, exchange: Exchange, push_id: str, refusal: RefusedError | None) -> Answer:
        if refusal is None:
            ttl = min(int(exchange.headers["ttl"]), MAX_TTL)
            return Answer(status=201, headers=(("location", f"{self.url}/message/{push_id}"), ("ttl", str(ttl))))
        retry_after = refusal.retry_after_value()
        headers = () if retry_after is None else (("retry-after", retry_after),)
        body = {
            "code": refusal.status,
            "errno": _ERRNOS.get(refusal.status, _OTHER_ERRNO),
            "error": HTTPStatus(refusal.status).phrase,
            "message": refusal.reason,
        }
        return Answer(status=refusal.status, headers=headers, body=refusal.pieces(json.dumps(body).encode()))

    def _examine(self, exchange: Exchange, token: str) -> bytes:
        """Everything a push service looks at, and the message that the browser reads.

        Raises: RefusedError.
        """
        headers = exchange.headers
        if exchange.method != "POST":
            raise RefusedError(405, "a message is sent by POST")
        if exchange.chunked:
            raise RefusedError(411, "a message has a Content-Length")
        if exchange.repeated:
            raise RefusedError(400, "a header came twice")
        known = self._subscription(exchange.path, token)
        if known.expired:
            raise RefusedError(410, "the browser has unsubscribed")
        origins = (f"https://{HOST}:{self.port}", f"https://localhost:{self.port}")
        if self.tokens.admit(headers.get("authorization"), origins) != known.vapid_key:
            raise RefusedError(403, "the subscription was made for another key")
        if not re.fullmatch("[0-9]{1,10}", headers.get("ttl", "")):
            raise RefusedError(400, "TTL is missing, or no number of seconds")
        if headers.get("urgency", "normal") not in _URGENCIES:
            raise RefusedError(400, "Urgency has a value it cannot have")
        if not _TOPIC.fullmatch(headers.get("topic", "none")):
            raise RefusedError(400, "Topic has more than 32 characters of base64url, or others")
        if len(exchange.body) > MAX_BODY:
            raise RefusedError(413, f"the body has more than {MAX_BODY} bytes")
        if not exchange.body:
            return b""
        if headers.get("content-encoding") != "aes128gcm":
            raise RefusedError(400, "Content-Encoding has to be aes128gcm")
        try:
            return decrypted(exchange.body, keys_of(token))
        except UnreadableError as error:
            raise RefusedError(400, str(error)) from error

    def _subscription(self, path: str, token: str) -> _Known:
        """Raises: RefusedError."""
        known = self._known.get(token)
        if known is not None and path.startswith(PATH):
            return known
        if not self.accept_unknown or not path.startswith(PATH) or not _TOKEN.fullmatch(token):
            raise RefusedError(404, "the subscription is unknown")
        return _Known(self._vapid_key)
