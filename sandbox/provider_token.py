"""What APNs demands of the provider tokens (JWTs) of one connection.

Standard behind it: Apple, "Establishing a token-based connection to APNs".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from sandbox.exchange import RefusedError
from sandbox.journal import Clock

Environment = Literal["production", "development"]

LONG_AGO = datetime.min.replace(tzinfo=UTC)
MAX_AGE = timedelta(hours=1)
CLOCK_SKEW = timedelta(minutes=1)
REFRESH_WINDOW = timedelta(minutes=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKey:
    """A key that Apple would have issued; its private half is the provider's."""

    team_id: str
    public_key: EllipticCurvePublicKey
    environment: Environment = "production"


@dataclass(frozen=True, slots=True)
class _Token:
    key_id: str
    team_id: str
    issued_at: datetime


@dataclass(slots=True)
class TokenHistory:
    """What a connection has authenticated with so far; one connection is bound to one team and one key."""

    current: str = ""
    token: _Token | None = None
    since: datetime = LONG_AGO


class ProviderTokens:
    """Checks `authorization` headers; a signature is verified once, however many requests carry the token.

    `refresh_window` is how long a connection has to stay with a token before it may use another one. With `counts_teams` a
    token that nobody has sent yet is refused as well when the team's one before is younger than that, whatever connection
    or process sends it: so integrators saw Apple count.
    """

    def __init__(
        self,
        keys: Mapping[str, ProviderKey],
        *,
        environment: Environment,
        clock: Clock,
        refresh_window: timedelta = REFRESH_WINDOW,
    ) -> None:
        self._keys = keys
        self._environment = environment
        self._clock = clock
        self._refresh_window = refresh_window
        self._verified: dict[str, _Token] = {}
        self.counts_teams = False
        self._newest: dict[str, tuple[datetime, set[str]]] = {}

    def admit(self, authorization: str | None, history: TokenHistory) -> None:
        """Let a request pass and remember its token as the connection's.

        Raises: RefusedError.
        """
        if authorization is None:
            raise RefusedError(403, "MissingProviderToken")
        now = self._clock()
        token = self._verified.get(authorization) or self._verify(authorization)
        if now - token.issued_at > MAX_AGE:
            raise RefusedError(403, "ExpiredProviderToken")
        if token.issued_at - now > CLOCK_SKEW:
            raise RefusedError(403, "InvalidProviderToken")
        if self.counts_teams:
            self._count(token.team_id, authorization, now)
        if authorization == history.current:
            return
        if history.token is not None:
            if token.team_id != history.token.team_id:
                raise RefusedError(403, "InvalidProviderToken")
            if token.key_id != history.token.key_id:
                raise RefusedError(403, "UnrelatedKeyIdInToken")
            if now - history.since < self._refresh_window:
                raise RefusedError(429, "TooManyProviderTokenUpdates")
        history.current, history.token, history.since = authorization, token, now

    def _count(self, team_id: str, authorization: str, now: datetime) -> None:
        """Raises: RefusedError: the team has another token too soon."""
        since, seen = self._newest.setdefault(team_id, (LONG_AGO, set()))
        if authorization in seen:
            return
        if now - since < self._refresh_window:
            raise RefusedError(429, "TooManyProviderTokenUpdates")
        seen.add(authorization)
        self._newest[team_id] = now, seen

    def _verify(self, authorization: str) -> _Token:
        scheme, _, text = authorization.partition(" ")
        try:
            key_id = jwt.get_unverified_header(text).get("kid", "")
            key = self._keys[key_id]
            claims = jwt.decode(
                text,
                key.public_key,
                algorithms=["ES256"],
                options={"require": ["iss", "iat"], "verify_iat": False, "verify_exp": False},
            )
        except (jwt.InvalidTokenError, KeyError):
            raise RefusedError(403, "InvalidProviderToken") from None
        issued_at = claims["iat"]
        if scheme.lower() != "bearer" or claims["iss"] != key.team_id or type(issued_at) is not int:
            raise RefusedError(403, "InvalidProviderToken")
        if key.environment != self._environment:
            raise RefusedError(403, "BadEnvironmentKeyIdInToken")
        try:
            token = _Token(key_id, key.team_id, datetime.fromtimestamp(issued_at, UTC))
        except (ValueError, OverflowError, OSError):  # no date, such as milliseconds
            raise RefusedError(403, "InvalidProviderToken") from None
        self._verified[authorization] = token
        return token
