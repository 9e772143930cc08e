"""Shared access signatures as every SDK writes them; `hub/transport/sas.py` says what one is.

The SDKs differ in the order of the fields, in the spelling of `sr` and in how much of the URL it covers.
"""

import hmac
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote, urlsplit

from hub.api.access import AccessPolicy
from hub.api.wire.errors import UnauthorizedError
from hub.transport.sas import signature_for

CLOCK_SKEW = 300
"""Seconds that the signer's clock may be behind ours."""

_MAX_SHOWN = 200
"""Characters of a resource that an answer repeats."""

_SCHEME = "sharedaccesssignature"
_RESOURCE_SCHEMES = ("http", "https", "sb")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """What a token says whose signature is good. `host` is None where its resource is none of ours."""

    policy: AccessPolicy
    expires_at: int
    host: str | None
    segments: list[str]

    def policy_for(self, *, hosts: Collection[str], path: str, now: float) -> AccessPolicy:
        """The policy that signed it, for a request on `path`, which is percent-decoded.

        `hosts` are the names, without port and in lower case, that a token may be made out to; `now` is in seconds since
        1970. Scheme, port, case, query and slashes at the end do not matter to the scope.

        Raises: UnauthorizedError.
        """
        if self.expires_at + CLOCK_SKEW < now:
            raise UnauthorizedError("ExpiredToken", "The token has expired")
        if self.host not in hosts or _segments(path.lower())[: len(self.segments)] != self.segments:
            made_out = (
                f"{self.host}/{'/'.join(self.segments)}"[:_MAX_SHOWN] if self.host else "no URL of http, https or sb"
            )
            asked = f"{' or '.join(sorted(hosts))}{path}"[:_MAX_SHOWN]
            raise UnauthorizedError("InvalidAudience", f"The token is made out to {made_out!a}, and this is {asked!a}")
        return self.policy


class SignedTokens:
    """The tokens of one configuration whose signature was found good: one is computed once in a token's life, not once a
    request. At most so many are kept, the newest; who has no key adds none.

    A token is kept by a keyed digest, so the time that a look-up takes says nothing of the tokens that are there.
    """

    def __init__(self, *, most: int = 4096) -> None:
        self._most = most
        self._secret = os.urandom(16)
        self._tokens: dict[tuple[str, bytes], SignedToken] = {}

    def token(self, authorization: str | None, *, hub: str, policies: Iterable[AccessPolicy]) -> SignedToken:
        """As `signed_token`; `policies` are always those of `hub`."""
        given = (authorization or "").encode("utf-8", "surrogatepass")
        key = (hub, blake2b(given, digest_size=16, key=self._secret).digest())
        token = self._tokens.get(key)
        if token is None:
            token = self._tokens[key] = signed_token(authorization, policies=policies)
            if len(self._tokens) > self._most:
                del self._tokens[next(iter(self._tokens))]
        return token


def signed_token(authorization: str | None, *, policies: Iterable[AccessPolicy]) -> SignedToken:
    """What the header `authorization` says, with the policy whose key signed it, the first of several of one name.

    Raises: UnauthorizedError.
    """
    if not authorization:
        raise UnauthorizedError("MissingToken", "The request has no Authorization header")
    fields = _fields(authorization)
    resource, expiry = fields["sr"], fields["se"]
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 18):
        raise UnauthorizedError("MalformedToken", "The expiry `se` has to be in seconds since 1970")
    policy = _signer(resource, expiry, unquote(fields["sig"]), unquote(fields["skn"]), policies)
    host, segments = _scope(resource)
    return SignedToken(policy=policy, expires_at=int(expiry), host=host, segments=segments)


def _fields(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != _SCHEME:
        raise UnauthorizedError("MalformedToken", "Expected a SharedAccessSignature")
    fields = dict(part.partition("=")[::2] for part in rest.strip().split("&"))
    missing = [name for name in ("sr", "sig", "se", "skn") if not fields.get(name)]
    if missing:
        raise UnauthorizedError("MalformedToken", f"The token lacks {', '.join(missing)}")
    return fields


def _signer(resource: str, expiry: str, signature: str, name: str, policies: Iterable[AccessPolicy]) -> AccessPolicy:
    given = signature.encode("latin-1", "replace")
    for policy in policies:
        if policy.name == name:
            for key in policy.keys:
                if hmac.compare_digest(signature_for(key, resource, expiry).encode(), given):
                    return policy
    raise UnauthorizedError("InvalidSignature", "The token has an invalid signature")


def _scope(resource: str) -> tuple[str | None, list[str]]:
    """Host and path that a token is made out to, in lower case; no host where the resource is none of ours."""
    url = unquote(resource).lower()
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = parts.hostname
    except ValueError:
        return None, []
    if parts.scheme and parts.scheme not in _RESOURCE_SCHEMES:
        return None, []
    return host, _segments(unquote(parts.path).lower())  # what was encoded twice has its capitals only now


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []
