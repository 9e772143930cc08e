"""Whether a bearer token is good, and what it says (RFC 7515, RFC 7519, RFC 8725)."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from jwt import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode

from hub.oidc.errors import Flaw, TokenError
from hub.oidc.keys import ProviderKeys
from hub.oidc.settings import OidcSettings

MAX_TOKEN: Final = 12 * 1024
"""Characters of a token; the header of a whole request has 16 KiB."""

_SIGNATURES = PyJWS()

Claims = Mapping[str, Any]


class TokenCheck:
    """Checks tokens of one provider; its keys are fetched as they are needed.

    `now` is in seconds since 1970, `clock` monotonic.
    """

    def __init__(
        self,
        settings: OidcSettings,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._now = now
        self._keys = ProviderKeys(settings, clock=clock)

    async def claims(self, authorization: str | None) -> Claims:
        """What the token of an Authorization header says. Raises: TokenError, ProviderError."""
        token = bearer_token(authorization)
        header = _part(token, 0)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise TokenError(Flaw.ALGORITHM, "the token is signed in a way that is not allowed")
        if header.get("crit") is not None or not isinstance(key_id, str):
            raise TokenError(Flaw.KEY, "the token does not name a key of its issuer")
        # Before any key is asked for: a token of another issuer is none of this provider's business.
        check_claims(claims := _part(token, 1), self._settings, now=self._now())
        key = await self._keys.get(key_id)
        if key is None or algorithm not in key.algorithms:
            raise TokenError(Flaw.KEY, "the token's issuer has no such key")
        _check_signature(token, key.public, algorithm)
        return claims


def bearer_token(authorization: str | None) -> str:
    """The token of a header (RFC 6750, section 2.1). Raises: TokenError."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError(Flaw.MISSING, "a bearer token is needed")
    token = token.strip()
    if len(token) > MAX_TOKEN or token.count(".") != 2 or not token.isascii():
        raise TokenError(Flaw.MALFORMED, "this is no signed token")
    return token


def check_claims(claims: Claims, settings: OidcSettings, *, now: float) -> None:
    """Issuer, audience and times. Raises: TokenError."""
    skew = settings.clock_skew
    if claims.get("iss") != settings.issuer:
        raise TokenError(Flaw.ISSUER, "the token is of another issuer")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in settings.audience for each in named):
        raise TokenError(Flaw.AUDIENCE, "the token is made out for another audience")
    if _time(claims, "exp", is_required=True) <= now - skew:
        raise TokenError(Flaw.EXPIRED, "the token has expired")
    if max(_time(claims, "nbf"), _time(claims, "iat")) > now + skew:
        raise TokenError(Flaw.NOT_YET, "the token is not good yet")


def _time(claims: Claims, name: str, *, is_required: bool = False) -> float:
    """A time in seconds since 1970; long ago where it may be missing and is."""
    value = claims.get(name)
    if value is None and not is_required:
        return float("-inf")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(Flaw.CLAIMS, f"the token has no {name} that is a number")
    return float(value)


def _part(token: str, number: int) -> dict[str, Any]:
    """Header (0) or claims (1); nothing in them is checked. Raises: TokenError."""
    try:
        document = orjson.loads(base64url_decode(token.split(".")[number]))
    except ValueError:  # binascii.Error and orjson.JSONDecodeError are
        document = None
    if not isinstance(document, dict):
        raise TokenError(Flaw.MALFORMED, "this is no signed token")
    return document


def _check_signature(token: str, key: Any, algorithm: str) -> None:
    try:
        _SIGNATURES.decode(token, key, algorithms=[algorithm])
    except (PyJWTError, ValueError, TypeError) as error:
        raise TokenError(Flaw.SIGNATURE, "the token's signature is not good") from error
