"""A stand-in for Xiaomi Mi Push: forms to `/v3/message/regid`, authorized by the app's secret.

Standard behind it: Xiaomi's server SDK. It answers 200 whatever it says; limits and some codes are unconfirmed.
"""

import ssl
import uuid
from collections.abc import Mapping, Sequence

import orjson

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.journal import Journal
from sandbox.oauth import form_of, json_answer
from sandbox.service import PUSH_ID_HEADER, PushService

PATH = "/v3/message/regid"
MAX_CONTENT = 4096
MAX_IDS = 1000
MAX_TTL = 14 * 86_400_000

SYSTEM_ERROR, TOO_FAST, NO_TARGET, NO_SECRET = 10001, 22101, 20301, 21301
INVALID_VALUE, MISSING, TOO_LONG, WRONG_PACKAGE = 10016, 10017, 10018, 22000
_CODES = {401: NO_SECRET, 410: NO_TARGET, 429: TOO_FAST, 500: SYSTEM_ERROR}
"""What scripted statuses of faults are as codes: Xiaomi has no others."""

_MIN_ID = 20


class Xiaomi(PushService):
    """Mi Push as far as a sender notices, for one app.

    A scripted fault of the status 401, 410, 429 or 500 becomes a code of Xiaomi's; any other goes out as a status. With
    `accept_unknown` every registration id that is long enough belongs to a living app.
    """

    name = "xiaomi"
    versions = ("h2", "http/1.1")

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        app_secret: str,
        package_name: str,
        accept_unknown: bool = False,
    ) -> None:
        super().__init__(journal=journal, context=context)
        self.accept_unknown = accept_unknown
        self._app_secret = app_secret
        self._package_name = package_name
        self._known: dict[str, bool] = {}

    def register(self, handle: str) -> None:
        """An app that takes messages."""
        self._known[handle] = True

    def unregister(self, handle: str) -> None:
        """The app is gone from the phone."""
        self._known[handle] = False

    def _serve(self, exchange: Exchange) -> None:
        refusal, handles, dead = None, [""], []
        fields: Mapping[str, str] = {}
        try:
            fields = _fields(exchange)
            handles = fields.get("registration_id", "").split(",")
            self._examine(exchange, fields, handles)
            self.faults.strike(handles[0])
            dead = [handle for handle in handles if not self._is_alive(handle)]
            if len(dead) == len(handles):
                raise _code(NO_TARGET, "no valid targets")
        except RefusedError as error:
            refusal = _code(_CODES[error.status], error.reason or "scripted") if error.status in _CODES else error
        message = {name: value for name, value in fields.items() if name != "registration_id"}
        self._conclude(
            exchange,
            _accepted(dead) if refusal is None else _refused(refusal),
            handle=handles[0],
            push_id=exchange.headers.get(PUSH_ID_HEADER, ""),
            refusal=refusal,
            payload=orjson.dumps(message),
            others=handles[1:],
            dead=dead,
        )

    def _is_alive(self, handle: str) -> bool:
        return self._known.get(handle, self.accept_unknown and len(handle) >= _MIN_ID)

    def _examine(self, exchange: Exchange, fields: Mapping[str, str], handles: Sequence[str]) -> None:
        """Everything Mi Push looks at but whose apps are alive.

        Raises: RefusedError.
        """
        if exchange.path != PATH:
            raise RefusedError(404)
        if exchange.method != "POST":
            raise RefusedError(405)
        if exchange.headers.get("authorization") != f"key={self._app_secret}":
            raise _code(NO_SECRET, "the app secret is wrong")
        if fields.get("restricted_package_name") != self._package_name:
            raise _code(WRONG_PACKAGE, "the package name is not the app's")
        if fields.get("pass_through", "0") not in ("0", "1"):
            raise _code(INVALID_VALUE, "pass_through is 0 or 1")
        needed = ("payload",) if fields.get("pass_through") == "1" else ("title", "description")
        for name in (*needed, "registration_id"):
            if not fields.get(name):
                raise _code(MISSING, f"{name} is missing")
        ttl = fields.get("time_to_live", "0")
        if not ttl.isdigit() or int(ttl) > MAX_TTL:
            raise _code(INVALID_VALUE, "time_to_live is milliseconds, two weeks at most")
        if not fields.get("notify_id", "0").isdigit() or int(fields.get("notify_id", "0")) >= 2**31:
            raise _code(INVALID_VALUE, "notify_id is an int")
        if sum(len(fields.get(name, "").encode()) for name in ("title", "description", "payload")) > MAX_CONTENT:
            raise _code(TOO_LONG, "the message is too long")
        if len(handles) > MAX_IDS:
            raise _code(INVALID_VALUE, "too many registration ids")


def _fields(exchange: Exchange) -> Mapping[str, str]:
    try:
        return form_of(exchange)
    except RefusedError:
        raise RefusedError(400) from None


def _code(code: int, reason: str) -> RefusedError:
    return RefusedError(200, reason, code=code)


def _accepted(dead: Sequence[str]) -> Answer:
    data = {"id": uuid.uuid4().hex} | ({"bad_regids": ",".join(dead)} if dead else {})
    body = {"result": "ok", "trace_id": uuid.uuid4().hex, "code": 0, "data": data, "info": ""}
    return json_answer(200, body)


def _refused(refusal: RefusedError) -> Answer:
    if "code" not in refusal.facts:
        retry_after = refusal.retry_after_value()
        return Answer(status=refusal.status, headers=() if retry_after is None else (("retry-after", retry_after),))
    body = {"result": "error", "reason": refusal.reason, "trace_id": uuid.uuid4().hex, "info": "", **refusal.facts}
    return json_answer(200, body)
