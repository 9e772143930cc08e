"""Bearer tokens as an OAuth 2.0 server hands them out (RFC 6749), and the form a client asks for them with."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import orjson

from sandbox.exchange import Answer, Exchange, RefusedError
from sandbox.faults import Faults
from sandbox.journal import Clock


class BearerTokens:
    """Issues tokens and knows whose they are; `issued` counts them."""

    def __init__(self, *, clock: Clock) -> None:
        self.issued = 0
        self._clock = clock
        self._tokens: dict[str, tuple[str, datetime]] = {}

    def issue(self, owner: str, *, lifetime: timedelta) -> str:
        """A new token of `owner`."""
        self.issued += 1
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (owner, self._clock() + lifetime)
        return token

    def revoke_all(self) -> None:
        """Forget every token, as if all had expired."""
        self._tokens.clear()

    def owner(self, authorization: str | None) -> str | None:
        """Whose token an `Authorization: Bearer` header carries; None when it is missing, unknown or expired."""
        scheme, _, token = (authorization or "").partition(" ")
        owner, expires_at = self._tokens.get(token, ("", None))
        if scheme.lower() != "bearer" or expires_at is None or self._clock() >= expires_at:
            return None
        return owner


def form_of(exchange: Exchange) -> Mapping[str, str]:
    """The fields of a token request; of one that came twice, the last.

    Raises: RefusedError: it is no form.
    """
    if exchange.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise RefusedError(400, "invalid_request", description="The request is not a form.")
    return {name: values[-1] for name, values in parse_qs(exchange.body.decode("latin-1")).items()}


def client_of(exchange: Exchange, apps: Mapping[str, str], *, scope: str | None) -> str:
    """Who asks for a token by a client credentials grant (RFC 6749, section 4.4): the client id, one of `apps`.

    `apps` maps client ids to secrets; `scope` is the one that has to be asked for, None for a service without.

    Raises: RefusedError.
    """
    form = form_of(exchange)
    if exchange.method != "POST" or form.get("grant_type") != "client_credentials":
        raise RefusedError(400, "unsupported_grant_type", description="The grant type must be client_credentials.")
    client_id = form.get("client_id", "")
    if client_id not in apps:
        raise RefusedError(400, "unauthorized_client", description=f"Application {client_id!r} was not found.")
    if not secrets.compare_digest(form.get("client_secret", "").encode(), apps[client_id].encode()):
        raise RefusedError(401, "invalid_client", description="Invalid client secret provided.")
    if scope is not None and form.get("scope") != scope:
        raise RefusedError(400, "invalid_scope", description=f"The scope must be {scope}.")
    return client_id


def json_answer(status: int, body: object) -> Answer:
    """A JSON body that no client may cache (RFC 6749 section 5.1)."""
    headers = (("content-type", "application/json; charset=UTF-8"), ("cache-control", "no-store"))
    return Answer(status=status, headers=headers, body=(orjson.dumps(body),))


def refusal_answer(refusal: RefusedError, body: object) -> Answer:
    """A refusal with a JSON body, and `Retry-After` where it asks for a wait."""
    answer = json_answer(refusal.status, body)
    retry_after = refusal.retry_after_value()
    extra = () if retry_after is None else (("retry-after", retry_after),)
    return Answer(status=answer.status, headers=answer.headers + extra, body=refusal.pieces(answer.body[0]))


def error_answer(refusal: RefusedError) -> Answer:
    """An OAuth error (RFC 6749 section 5.2)."""
    return refusal_answer(refusal, {"error": refusal.reason, "error_description": refusal.facts.get("description", "")})


class ClientCredentials:
    """A token endpoint for client credentials grants (RFC 6749, section 4.4), at `path`.

    `apps` maps client ids to secrets. `scope` has to be asked for and is named with each token; None: there is none.
    """

    def __init__(
        self, apps: Mapping[str, str], *, path: str, lifetime: timedelta, clock: Clock, scope: str | None = None
    ) -> None:
        self.faults = Faults()
        self.tokens = BearerTokens(clock=clock)
        self.path = path
        self._apps = apps
        self._lifetime = lifetime
        self._scope = scope

    def serve(self, exchange: Exchange) -> None:
        """Answer a request for a token."""
        answer = self._answer(exchange)
        self.faults.deliver(exchange, answer, taken=answer.status == 200)

    def _answer(self, exchange: Exchange) -> Answer:
        try:
            client_id = client_of(exchange, self._apps, scope=self._scope)
            self.faults.strike(client_id)
        except RefusedError as refusal:
            return error_answer(refusal)
        token = self.tokens.issue(client_id, lifetime=self._lifetime)
        scope = {} if self._scope is None else {"scope": self._scope}
        seconds = int(self._lifetime.total_seconds())
        return json_answer(200, {"access_token": token, "expires_in": seconds, **scope, "token_type": "Bearer"})
