"""What a listener does about requests whose credentials are not good: it counts them, and holds back who guesses.

Only a secret that is sent as it is can be guessed: a password or a token of the admin listener or of a source over HTTP.
Signatures (shared access signatures, webhooks, tokens of a provider) cannot, and are always looked at: to refuse them
unseen would only keep the good ones out, such as all phones behind one address.
"""

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.admin.connections import client_of
from bridge.config.models.admin_auth import PROXY_SECRET
from bridge.observe.facts import AuthFailed, AuthReason, AuthScheme, ProcessObserver, WrongCredentialsHeldBack
from connectors.http.auth import AUTHORIZATION, KNOWN
from hub.api.wire.errors import REFUSALS
from hub.limiting import CallerLimit

BURST, SECONDS = 20, 3.0
"""Wrong secrets that a client may show at once, and the seconds until it may show one more."""

_MOST_GOOD = 1024
"""How many of the latest good secrets are remembered: a request with one of them is never held back."""

_WINDOW = 600.0
_MANY = 20
"""In so many seconds so many failures are worth a word in readiness."""

_MOST_CLIENTS = 1000
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_NOT_GUESSED = (AuthReason.RIGHTS, AuthReason.MISSING, AuthReason.EXPIRED, AuthReason.AUDIENCE)
"""What a console that was left open overnight shows is no guess."""

_GUESSABLE = frozenset({AuthScheme.BASIC, AuthScheme.BEARER, AuthScheme.PROXY})
_SCHEMES = {
    "": AuthScheme.NONE,
    "basic": AuthScheme.BASIC,
    "bearer": AuthScheme.BEARER,
    "sharedaccesssignature": AuthScheme.SAS,
}
_REASONS = {
    "MissingToken": AuthReason.MISSING,
    "ExpiredToken": AuthReason.EXPIRED,
    "InvalidAudience": AuthReason.AUDIENCE,
    "Forbidden": AuthReason.RIGHTS,
    "missing": AuthReason.MISSING,
    "expired": AuthReason.EXPIRED,
    "not_yet": AuthReason.EXPIRED,
    "issuer": AuthReason.AUDIENCE,
    "audience": AuthReason.AUDIENCE,
}
"""By the kind of error of the hub API, or the flaw of a phone's token; all others are INVALID."""


class AuthGuard:
    """Stands before the application of a listener, for as long as the listener lives.

    With `holds_back` a client (an IPv4 address or an IPv6 network of 64 bits) that has shown too many wrong secrets gets
    429 for a while without a look at what it shows, unless that was good before. This machine is never held back: behind a
    proxy on it all clients have its address, and an app beside the daemon must not be kept out by another one's mistake.
    What is kept is bounded, and looked up by keyed digests, so that no time tells of it. `clock` is in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: str,
        *,
        observer: ProcessObserver,
        holds_back: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._listener = listener
        self._observer = observer
        self._holds_back = holds_back
        self._clock = clock
        self._limit = CallerLimit(burst=BURST, seconds=SECONDS, clock=clock)
        self._news = CallerLimit(burst=1, seconds=60.0, clock=clock)
        self._key = os.urandom(16)
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._failures = Counter[str]()
        self._since = clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scheme, shown = _shown(scope)
        address = scope["client"][0] if scope.get("client") else ""
        client = address if address in _LOOPBACK else client_of(address)
        digest = blake2b(shown, digest_size=16, key=self._key).digest() if shown else b""
        if wait := self._wait(client, scheme, digest):
            await self._refuse(client, wait)(scope, receive, send)
            return
        refusals: list[str] = []
        known: list[str] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered(message, client, scheme, refusals)
            await send(message)

        await self._app({**scope, REFUSALS: refusals, KNOWN: known}, receive, noting)
        if (PROXY_SECRET if scheme is AuthScheme.PROXY else AUTHORIZATION) in known and digest:
            self._remember(digest)
        else:
            self._good.pop(digest, None)  # it is good no longer, and may be guessed beside

    @property
    def trouble(self) -> str:
        """What is to be said of the last minutes, empty where few credentials were wrong."""
        if self._clock() - self._since >= _WINDOW or self._failures.total() < _MANY:
            return ""
        ((client, count),) = self._failures.most_common(1)
        return f"{self._failures.total()} requests had wrong credentials in ten minutes, {count} of them from {client}"

    def _wait(self, client: str, scheme: AuthScheme, digest: bytes) -> float:
        """Seconds for which the request is not looked at."""
        if not self._holds_back or scheme not in _GUESSABLE or client in _LOOPBACK or digest in self._good:
            return 0.0
        return self._limit.wait_for(client)

    def _refuse(self, client: str, wait: float) -> PlainTextResponse:
        is_news = not self._news.wait_for(client)
        self._news.count(client)
        self._observer.observe(
            WrongCredentialsHeldBack(listener=self._listener, client=client, seconds=wait, is_news=is_news)
        )
        headers = {"retry-after": str(max(1, round(wait)))}
        return PlainTextResponse("too many requests with wrong credentials: come again later\n", 429, headers)

    def _answered(self, message: Message, client: str, scheme: AuthScheme, refusals: list[str]) -> None:
        status = message["status"]
        if status == 401 or (status == 403 and (refusals or scheme in _GUESSABLE)):
            challenge = Headers(raw=message.get("headers", [])).get("www-authenticate", "")
            if challenge.startswith("Signature"):
                scheme = AuthScheme.SIGNATURE
            self._failed(client, scheme, _reason(status, scheme, refusals))

    def _remember(self, digest: bytes) -> None:
        self._good[digest] = None
        self._good.move_to_end(digest)
        if len(self._good) > _MOST_GOOD:
            self._good.popitem(last=False)

    def _failed(self, client: str, scheme: AuthScheme, reason: AuthReason) -> None:
        self._observer.observe(AuthFailed(listener=self._listener, scheme=scheme, reason=reason))
        if reason in _NOT_GUESSED:
            return
        self._limit.count(client)
        now = self._clock()
        if now - self._since >= _WINDOW:
            self._failures.clear()
            self._since = now
        if client in self._failures or len(self._failures) < _MOST_CLIENTS:
            self._failures[client] += 1


def _shown(scope: Scope) -> tuple[AuthScheme, bytes]:
    """How a request shows who sends it, and what it shows: a header, or the query's `access_token`."""
    headers = Headers(scope=scope)
    value = headers.get("authorization", "")
    if PROXY_SECRET in headers:  # with it nothing else is looked at, where it is good
        return AuthScheme.PROXY, "\n".join(headers.getlist(PROXY_SECRET)).encode("latin-1", "replace")
    if not value and b"access_token=" in scope.get("query_string", b""):
        token = parse_qs(scope["query_string"]).get(b"access_token", [b""])[0]
        return AuthScheme.BEARER, b"query " + token
    return _SCHEMES.get(value.partition(" ")[0].lower(), AuthScheme.OTHER), value.encode("latin-1", "replace")


def _reason(status: int, scheme: AuthScheme, refusals: list[str]) -> AuthReason:
    if status == 403:
        return AuthReason.RIGHTS
    if refusals:
        return _REASONS.get(refusals[0], AuthReason.INVALID)
    return AuthReason.MISSING if scheme is AuthScheme.NONE else AuthReason.INVALID
