"""A stand-in for Baidu Cloud Push, REST API 3.0: signed forms to `/push/single_device`.

What most of its codes mean is unconfirmed; whether the service still runs is, too.
"""

import hashlib
import ssl
from collections.abc import Mapping
from urllib.parse import quote_plus

import orjson

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Clock, Journal, utc_now
from sandbox.oauth import form_of, json_answer, refusal_answer
from sandbox.service import PUSH_ID_HEADER, PushService

PATH = "/rest/3.0/push/single_device"
MAX_PAYLOAD = 4096
MAX_AGE = 600
"""Seconds that a request's `timestamp` may be away from the clock."""

INTERNAL, METHOD, INVALID, AUTH, QUOTA, EXPIRED, NO_RELATION = 30600, 30601, 30602, 30603, 30604, 30607, 30608
_CODES = {410: NO_RELATION, 429: QUOTA, 500: INTERNAL}
_MIN_CHANNEL = 10


class Baidu(PushService):
    """Baidu Cloud Push as far as a sender notices, for one app; a handle is `USER-CHANNEL`.

    With `accept_unknown` every channel that is long enough belongs to a living app.
    """

    name = "baidu"
    versions = ("http/1.1",)

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        api_key: str,
        secret_key: str,
        accept_unknown: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self._api_key = api_key
        self._secret_key = secret_key
        self._clock = clock
        self._known: dict[str, tuple[str, bool]] = {}

    def register(self, handle: str) -> None:
        """An app that takes messages."""
        self._known[handle.partition("-")[2]] = (handle, True)

    def unregister(self, handle: str) -> None:
        """The app is gone from the phone."""
        self._known[handle.partition("-")[2]] = (handle, False)

    def _serve(self, exchange: Exchange) -> None:
        refusal, fields = None, _fields(exchange)
        channel = fields.get("channel_id", "")
        handle, alive = self._known.get(channel, (channel, self.accept_unknown and len(channel) >= _MIN_CHANNEL))
        try:
            self._examine(exchange, fields)
            self.faults.strike(handle)
            if not alive:
                raise RefusedError(400, "bind relation not found", code=NO_RELATION)
        except RefusedError as error:
            refusal = error
        self._conclude(
            exchange,
            _answer(refusal),
            handle=handle,
            push_id=exchange.headers.get(PUSH_ID_HEADER, ""),
            refusal=refusal,
            payload=fields.get("msg", "").encode(),
        )

    def _examine(self, exchange: Exchange, fields: Mapping[str, str]) -> None:
        """Everything Baidu looks at but the channel.

        Raises: RefusedError.
        """
        if exchange.path != PATH:
            raise RefusedError(404)
        if exchange.method != "POST":
            raise RefusedError(405, "method not allowed", code=METHOD)
        if not exchange.headers.get("user-agent", "").startswith("BCCS_SDK/3.0"):
            raise RefusedError(400, "the user agent is none of an SDK", code=INVALID)
        unsigned = {name: value for name, value in fields.items() if name != "sign"}
        if fields.get("apikey") != self._api_key or fields.get("sign") != self._signature(unsigned):
            raise RefusedError(403, "auth failed", code=AUTH)
        timestamp = fields.get("timestamp", "")
        if not timestamp.isdigit() or abs(int(timestamp) - self._clock().timestamp()) > MAX_AGE:
            raise RefusedError(403, "request expired", code=EXPIRED)
        message = fields.get("msg", "")
        is_known_kind = fields.get("msg_type") in ("0", "1") and fields.get("device_type") in ("3", "4")
        if not is_known_kind or len(message.encode()) > MAX_PAYLOAD or not _is_object(message):
            raise RefusedError(400, "request params not valid", code=INVALID)

    def _signature(self, fields: Mapping[str, str]) -> str:
        """MD5 over method, address, sorted parameters and secret, escaped as PHP's `urlencode` does."""
        text = f"POST{self.url}{PATH}" + "".join(f"{name}={fields[name]}" for name in sorted(fields)) + self._secret_key
        return hashlib.md5(quote_plus(text).replace("~", "%7E").encode(), usedforsecurity=False).hexdigest()


def _fields(exchange: Exchange) -> Mapping[str, str]:
    try:
        return form_of(exchange)
    except RefusedError:
        return {}


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _answer(refusal: RefusedError | None) -> Answer:
    if refusal is None:
        return json_answer(200, {"request_id": 1, "response_params": {"msg_id": "1", "send_time": 0}})
    code = refusal.facts.get("code", _CODES.get(refusal.status))
    body = {"request_id": 1, "error_code": code, "error_msg": refusal.reason} if code else {}
    return refusal_answer(refusal, body)
