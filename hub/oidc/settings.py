"""Whose tokens are good, and for whom they have to be made out (OpenID Connect Core 1.0, RFC 9068)."""

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from hub.egress import Egress, comma_separated

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""Signatures with a private key. There is no HMAC: its key would be the public one that everyone can fetch."""

USUAL: Final[tuple[Algorithm, ...]] = ("RS256", "PS256", "ES256", "EdDSA")
LONGEST_SKEW: Final = 600.0

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def checked_address(url: object) -> str:
    """An address over TLS, or on this machine. Raises: ValueError."""
    if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("not an address; write https://HOST, or https://HOST/PATH")
    if url.startswith("http:") and urlsplit(url).hostname not in _LOOPBACK:
        raise ValueError("keys that come in clear can be exchanged on the way: write https://")
    return url


Address = Annotated[str, AfterValidator(checked_address)]
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=255)], ...],
    BeforeValidator(comma_separated),
    Field(min_length=1),
]


class OidcSettings(Egress):
    """A provider of OpenID Connect. Its keys are fetched when they are first needed, and again when they change."""

    issuer: Address
    """The provider, exactly as its tokens say it in iss."""
    audience: Texts
    """What tokens have to say in aud, or a list of which they say one."""
    jwks_uri: Address | None = None
    """Where the provider's keys are; else as its /.well-known/openid-configuration says."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = USUAL
    """How tokens may be signed; a token that says another way in its header is refused."""
    clock_skew: float = Field(default=60.0, ge=0, le=LONGEST_SKEW)
    """How far the provider's clock may be from this one's, ten minutes at most."""
