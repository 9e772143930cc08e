"""Shared access signatures as every SDK writes them; `hub/transport/sas.py` says what one is.

The SDKs differ in the order of the fields, in the spelling of `sr` and in how much of the URL it covers.
"""

import hmac
from collections.abc import Collection, Iterable
from urllib.parse import unquote, urlsplit

from hub.api.access import AccessPolicy
from hub.api.wire.errors import UnauthorizedError
from hub.transport.sas import signature_for

CLOCK_SKEW = 300
"""Seconds that the signer's clock may be behind ours."""

_SCHEME = "sharedaccesssignature"
_RESOURCE_SCHEMES = ("http", "https", "sb")


def authenticate(
    authorization: str | None,
    *,
    policies: Iterable[AccessPolicy],
    hosts: Collection[str],
    path: str,
    now: float,
) -> AccessPolicy:
    """The policy whose key signed the header `authorization` for this request, the first of several of one name.

    `hosts` are the names, without port, that a token may be made out to; `path` is the request's, percent-decoded.
    `now` is in seconds since 1970. Scheme, port, case, query and slashes at the end do not matter to the scope.

    Raises: UnauthorizedError.
    """
    if not authorization:
        raise UnauthorizedError("MissingToken", "The request has no Authorization header")
    fields = _fields(authorization)
    resource, expiry = fields["sr"], fields["se"]
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 18):
        raise UnauthorizedError("MalformedToken", "The expiry `se` has to be in seconds since 1970")
    policy = _signer(resource, expiry, unquote(fields["sig"]), unquote(fields["skn"]), policies)
    if int(expiry) + CLOCK_SKEW < now:
        raise UnauthorizedError("ExpiredToken", "The token has expired")
    if not _covers(resource, hosts, path):
        raise UnauthorizedError("InvalidAudience", "The token is made out to another host or hub")
    return policy


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


def _covers(resource: str, hosts: Collection[str], path: str) -> bool:
    url = unquote(resource).lower()
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return False
    if parts.scheme and parts.scheme not in _RESOURCE_SCHEMES:
        return False
    covered = _segments(unquote(parts.path).lower())  # what was encoded twice has its capitals only now
    return parts.hostname in {host.lower() for host in hosts} and _segments(path.lower())[: len(covered)] == covered


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []
