"""A stand-in for Huawei Push Kit: its token endpoint and `messages:send`, version 1.

Standard behind it: Huawei, HTTPS send API. A request may have many tokens: it is taken for those that are good, and the
answer names the others.
"""

import ssl
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Clock, Journal, utc_now
from sandbox.oauth import ClientCredentials, json_answer, refusal_answer
from sandbox.service import PUSH_ID_HEADER, PushService

TOKEN_PATH = "/oauth2/v3/token"  # noqa: S105 - an address
TOKEN_LIFETIME = timedelta(seconds=3600)
MAX_MESSAGE = 4096
MAX_TOKENS = 1000

OK, SOME_ILLEGAL, MALFORMED, STALE, NOT_THE_APP_S = "80000000", "80100000", "80100003", "80200003", "80300002"
ALL_ILLEGAL, TOO_LARGE, TOO_MANY, INTERNAL = "80300007", "80300008", "80300010", "81000001"

_FIELDS = {"data", "notification", "android", "apns", "webpush", "token", "topic", "condition"}
_MIN_TOKEN = 20


class Huawei(PushService):
    """Push Kit as far as a sender notices, for one app, whose id is its client id.

    `token_faults` are those of the token endpoint. With `accept_unknown` every token that is long enough belongs to a
    living app.
    """

    name = "huawei"
    versions = ("h2", "http/1.1")

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        app_id: str,
        client_secret: str,
        accept_unknown: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self._oauth = ClientCredentials({app_id: client_secret}, path=TOKEN_PATH, lifetime=TOKEN_LIFETIME, clock=clock)
        self.token_faults = self._oauth.faults
        self.tokens = self._oauth.tokens
        self._path = f"/v1/{app_id}/messages:send"
        self._known: dict[str, bool] = {}

    @property
    def token_url(self) -> str:
        """Where access tokens are had."""
        return self.url + self._oauth.path

    def register(self, handle: str) -> None:
        """An app that takes messages."""
        self._known[handle] = True

    def unregister(self, handle: str) -> None:
        """The app is gone from the phone."""
        self._known[handle] = False

    def _serve(self, exchange: Exchange) -> None:
        if exchange.path == self._oauth.path:
            self._oauth.serve(exchange)
            return
        refusal, tokens, dry_run = None, [""], False
        try:
            message, dry_run = self._examine(exchange)
            tokens = message["token"]
            self.faults.strike(tokens[0])
            if not any(map(self._is_alive, tokens)):
                raise RefusedError(400, "All tokens are invalid", code=ALL_ILLEGAL)
        except RefusedError as error:
            refusal = error
        illegal = [token for token in tokens if not self._is_alive(token)]
        answer = _answer(tokens, illegal) if refusal is None else _error_answer(refusal)
        if dry_run:
            exchange.answer(answer)
            return
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        self._conclude(
            exchange, answer, handle=tokens[0], push_id=push_id, refusal=refusal, others=tokens[1:], dead=illegal
        )

    def _is_alive(self, token: str) -> bool:
        return self._known.get(token, self.accept_unknown and len(token) >= _MIN_TOKEN)

    def _examine(self, exchange: Exchange) -> tuple[dict[str, Any], bool]:
        """Everything Push Kit looks at but the tokens: the message, and whether it is not to be shown.

        Raises: RefusedError.
        """
        if exchange.path != self._path:
            raise RefusedError(404)
        if exchange.method != "POST":
            raise RefusedError(405)
        if self.tokens.owner(exchange.headers.get("authorization")) is None:
            raise RefusedError(401, "The access token has expired", code=STALE)
        message, dry_run = _message(exchange)
        tokens = message.get("token")
        if not isinstance(tokens, list) or not tokens or not all(isinstance(one, str) for one in tokens):
            raise RefusedError(400, "token is missing", code=MALFORMED)
        if len(tokens) > MAX_TOKENS:
            raise RefusedError(400, "too many tokens", code=TOO_MANY)
        if len(orjson.dumps({name: value for name, value in message.items() if name != "token"})) > MAX_MESSAGE:
            raise RefusedError(400, "the message is too large", code=TOO_LARGE)
        return message, dry_run


def _message(exchange: Exchange) -> tuple[dict[str, Any], bool]:
    """The message of a request that has the form of one, and its `validate_only`.

    Raises: RefusedError.
    """
    try:
        request = orjson.loads(exchange.body)
    except orjson.JSONDecodeError:
        request = None
    message = request.get("message") if isinstance(request, dict) else None
    if not isinstance(message, dict) or request.keys() - {"message", "validate_only"} or message.keys() - _FIELDS:
        raise RefusedError(400, "the message structure is wrong", code=MALFORMED)
    if not isinstance(message.get("data", ""), str):
        raise RefusedError(400, "data is a text", code=MALFORMED)
    android = message.get("android", {})
    shown = android.get("notification") if isinstance(android, dict) else None
    if message.get("notification") or shown:
        action = shown.get("click_action") if isinstance(shown, dict) else None
        if not isinstance(action, dict) or action.get("type") not in (1, 2, 3, 4):
            raise RefusedError(400, "android.notification.click_action is missing", code=MALFORMED)
    return message, bool(request.get("validate_only"))


def _answer(tokens: list[str], illegal: list[str]) -> Answer:
    if not illegal:
        return json_answer(200, {"code": OK, "msg": "Success", "requestId": uuid.uuid4().hex})
    found = {"success": len(tokens) - len(illegal), "failure": len(illegal), "illegal_tokens": illegal}
    return json_answer(200, {"code": SOME_ILLEGAL, "msg": orjson.dumps(found).decode(), "requestId": uuid.uuid4().hex})


def _error_answer(refusal: RefusedError) -> Answer:
    body: Mapping[str, object] = {"msg": refusal.reason, "requestId": uuid.uuid4().hex, **refusal.facts}
    return refusal_answer(refusal, body)
