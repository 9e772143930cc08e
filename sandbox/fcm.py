"""A stand-in for Firebase Cloud Messaging: its OAuth token endpoint and `messages:send` of HTTP v1.

Standard behind it: Firebase, "REST Resource: projects.messages" and "ErrorCode"; Google, "Using OAuth 2.0 for server
to server applications".
"""

import math
import ssl
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.faults import Faults
from sandbox.fcm_message import MAX_PAYLOAD, MAX_TOPIC_PAYLOAD, Violation, payload_size, violations
from sandbox.journal import Clock, Journal, utc_now
from sandbox.oauth import BearerTokens, error_answer, form_of, json_answer
from sandbox.service import PUSH_ID_HEADER, PushService

OAUTH_PATH = "/token"
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
"""Google's libraries write this one whatever the account's `token_uri` is: "this value is always" so, Google says."""
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
SCOPES = {SCOPE, "https://www.googleapis.com/auth/cloud-platform"}
"""Each of them is enough (Firebase, "Method: projects.messages.send", authorization scopes)."""
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFETIME = timedelta(seconds=3599)
MAX_ASSERTION_LIFETIME = timedelta(hours=1)
CLOCK_SKEW = timedelta(minutes=5)
QUOTA_PER_MINUTE = 600_000
_FID_LENGTH = 22
JSON_TYPE = "application/json"

STATUS_NAMES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    411: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
"""`google.rpc.Code` of an HTTP status."""

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"


class Fcm(PushService):
    """FCM as far as a sender notices, for one project and one service account.

    `quota_per_minute` and `quota_retry_after` (seconds; None: the 429 carries none) may be changed at any time; with
    `names_retry_after` a 429 says how many seconds are left of the minute.
    `token_faults` are those of the token endpoint. With `accept_unknown` every registration token that is long enough
    belongs to a living app.
    """

    name = "fcmv1"
    versions = ("h2", "http/1.1")

    def __init__(
        self,
        *,
        journal: Journal,
        context: ssl.SSLContext,
        project_id: str,
        client_email: str,
        key_id: str,
        public_key: RSAPublicKey,
        accept_unknown: bool = False,
        max_streams: int = 100,
        token_lifetime: timedelta = TOKEN_LIFETIME,
        clock: Clock = utc_now,
    ) -> None:
        super().__init__(journal=journal, context=context, max_streams=max_streams)
        self.accept_unknown = accept_unknown
        self.quota_per_minute = QUOTA_PER_MINUTE
        self.quota_retry_after: int | None = None
        self.names_retry_after = False
        self.token_faults = Faults()
        self.tokens = BearerTokens(clock=clock)
        self._send_path = f"/v1/projects/{project_id}/messages:send"
        self._project_id = project_id
        self._client_email = client_email
        self._key_id = key_id
        self._public_key = public_key
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._minute: datetime | None = None
        self._used = 0
        self._apps: dict[str, RefusedError | None] = {}

    @property
    def token_url(self) -> str:
        """Where access tokens are had: the service account's `token_uri`."""
        return self.url + OAUTH_PATH

    def register(self, handle: str) -> None:
        """An app instance that takes messages."""
        self._apps[handle] = None

    def unregister(self, handle: str) -> None:
        """The app is gone from the device."""
        self._apps[handle] = RefusedError(404, "UNREGISTERED", message="Requested entity was not found.")

    def register_elsewhere(self, handle: str) -> None:
        """An app instance that belongs to another sender."""
        self._apps[handle] = RefusedError(403, "SENDER_ID_MISMATCH", message="SenderId mismatch")

    def _serve(self, exchange: Exchange) -> None:
        if exchange.path == OAUTH_PATH:
            answer = self._token_answer(exchange)
            self.token_faults.deliver(exchange, answer, taken=answer.status == 200)
            return
        refusal, handle, dry_run = None, "", False
        try:
            request = self._admitted(exchange)
            dry_run = bool(request.get("validate_only") or request.get("validateOnly"))
            handle = _target(request["message"])
            self._examine(request["message"])
            self.faults.strike(handle)
        except RefusedError as error:
            refusal = error
        name = "fake_message_id" if dry_run else uuid.uuid4().hex
        success = {"name": f"projects/{self._project_id}/messages/{name}"}
        answer = _json(200, success) if refusal is None else _error_answer(refusal)
        if dry_run:
            exchange.answer(answer)
            return
        push_id = exchange.headers.get(PUSH_ID_HEADER, "")
        self._conclude(exchange, answer, handle=handle, push_id=push_id, refusal=refusal)

    def _admitted(self, exchange: Exchange) -> dict[str, Any]:
        """The request's JSON, once credential, path, quota and schema are found to be right.

        Raises: RefusedError.
        """
        if self.tokens.owner(exchange.headers.get("authorization")) is None:
            raise RefusedError(401, message="Request had invalid authentication credentials.")
        if exchange.path != self._send_path or exchange.method != "POST":
            raise RefusedError(404, message="Requested entity was not found.")
        if exchange.chunked:
            raise RefusedError(411, message="A Content-Length is needed over HTTP/1.1.")
        self._spend_quota()
        if exchange.headers.get("content-type", JSON_TYPE).partition(";")[0].strip().lower() != JSON_TYPE:
            raise _bad_request([Violation("", f"Invalid JSON payload received. The Content-Type must be {JSON_TYPE}.")])
        try:
            request = orjson.loads(exchange.body)
        except orjson.JSONDecodeError as error:
            raise _bad_request([Violation("", f"Invalid JSON payload received. {error}")]) from None
        wrong = violations(request)
        if wrong:
            raise _bad_request(wrong)
        assert isinstance(request, dict)
        return request

    def _examine(self, message: Mapping[str, Any]) -> None:
        """Raises: RefusedError."""
        token = next((message[name] for name in ("token", "fid") if message.get(name) is not None), None)
        if payload_size(message) > (MAX_TOPIC_PAYLOAD if token is None else MAX_PAYLOAD):
            raise RefusedError(400, "INVALID_ARGUMENT", message="Android message is too big")
        if token is None:
            return
        if token in self._apps:
            known = self._apps[token]
            if known is not None:
                raise known.with_traceback(None)  # else the one object would collect the frames of every raise
        elif not self.accept_unknown or len(token) < (_FID_LENGTH if message.get("fid") else 100):
            raise RefusedError(
                400,
                "INVALID_ARGUMENT",
                message="The registration token is not a valid FCM registration token",
            )

    def _spend_quota(self) -> None:
        now = self._clock()
        if self._minute is None or now - self._minute >= timedelta(minutes=1):
            self._minute, self._used = now, 0
        if self._used >= self.quota_per_minute:
            left = math.ceil((self._minute + timedelta(minutes=1) - now).total_seconds())
            raise RefusedError(
                429, "QUOTA_EXCEEDED", retry_after=left if self.names_retry_after else self.quota_retry_after
            )
        self._used += 1

    def _token_answer(self, exchange: Exchange) -> Answer:
        try:
            self._examine_assertion(exchange)
            self.token_faults.strike("")
        except RefusedError as refusal:
            return error_answer(refusal)
        token = self.tokens.issue(self._client_email, lifetime=self._token_lifetime)
        seconds = int(self._token_lifetime.total_seconds())
        return json_answer(200, {"access_token": token, "expires_in": seconds, "token_type": "Bearer"})

    def _examine_assertion(self, exchange: Exchange) -> None:
        """A JWT bearer grant (RFC 7523) as Google wants it.

        Raises: RefusedError.
        """
        form = form_of(exchange)
        if exchange.method != "POST" or form.get("grant_type") != GRANT_TYPE:
            raise RefusedError(
                400, "unsupported_grant_type", description=f"Invalid grant_type: {form.get('grant_type')}"
            )
        try:
            assertion = jwt.decode_complete(
                form.get("assertion", ""),
                self._public_key,
                algorithms=["RS256"],
                options={
                    "require": ["iss", "aud", "iat", "exp"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise RefusedError(400, "invalid_grant", description=f"Invalid JWT: {error}") from None
        header, claims = assertion["header"], assertion["payload"]
        if header.get("kid") != self._key_id or header.get("typ") != "JWT":
            raise RefusedError(400, "invalid_grant", description="Invalid JWT Signature.")
        if claims["iss"] != self._client_email:
            raise RefusedError(400, "invalid_grant", description="Invalid grant: account not found")
        if claims["aud"] not in (self.token_url, GOOGLE_AUDIENCE):
            raise RefusedError(400, "invalid_grant", description=f"Invalid JWT: the audience must be {self.token_url}")
        if SCOPES.isdisjoint(str(claims.get("scope", "")).split()):
            raise RefusedError(400, "invalid_scope", description=f"The scope must be {SCOPE}")
        self._examine_times(claims["iat"], claims["exp"])

    def _examine_times(self, issued_at: object, expires_at: object) -> None:
        now = self._clock().timestamp()
        if (
            not isinstance(issued_at, int | float)
            or not isinstance(expires_at, int | float)
            or expires_at - issued_at > MAX_ASSERTION_LIFETIME.total_seconds()
            or expires_at <= now
            or issued_at > now + CLOCK_SKEW.total_seconds()
        ):
            text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            raise RefusedError(400, "invalid_grant", description=text)


def _target(message: Mapping[str, Any]) -> str:
    """What the journal calls the target: the token, `/topics/NAME`, or the condition."""
    if message.get("topic") is not None:
        return f"/topics/{message['topic']}"
    return str(message.get("token") or message.get("fid") or message.get("condition"))


def _bad_request(wrong: list[Violation]) -> RefusedError:
    details = [
        {"@type": BAD_REQUEST, "fieldViolations": [{"field": v.field, "description": v.description} for v in wrong]}
    ]
    return RefusedError(400, "INVALID_ARGUMENT", message=wrong[0].description, details=details)


def _error_answer(refusal: RefusedError) -> Answer:
    status = STATUS_NAMES.get(refusal.status, "UNKNOWN")
    details: list[object] = []
    if refusal.reason and "details" not in refusal.facts:
        details.append({"@type": FCM_ERROR, "errorCode": refusal.reason})
    if refusal.reason == "QUOTA_EXCEEDED":
        violation = {"subject": "project", "description": "Quota exceeded for quota metric 'Messages'."}
        details.append({"@type": QUOTA_FAILURE, "violations": [violation]})
    error = {
        "code": refusal.status,
        "message": refusal.facts.get("message", refusal.reason),
        "status": status,
        "details": refusal.facts.get("details", details),
    }
    answer = _json(refusal.status, {"error": {name: value for name, value in error.items() if value}})
    retry_after = refusal.retry_after_value()
    extra = () if retry_after is None else (("retry-after", retry_after),)
    return Answer(status=answer.status, headers=answer.headers + extra, body=refusal.pieces(answer.body[0]))


def _json(status: int, body: object) -> Answer:
    headers = (("content-type", "application/json; charset=UTF-8"),)
    return Answer(status=status, headers=headers, body=(orjson.dumps(body),))
