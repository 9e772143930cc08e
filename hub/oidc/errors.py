"""What a bearer token may be refused for.

OidcError              root; never raised as such
├── TokenError         the token is not good: `flaw` says why, in a word of a closed list
└── ProviderError      the provider's keys cannot be had: the same token may be good in a while
"""

from enum import Enum


class Flaw(Enum):
    """Why a token is refused."""

    MISSING = "missing"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    CLAIMS = "claims"


class OidcError(Exception):
    """Root of what checking a token raises on purpose."""


class TokenError(OidcError):
    """The token is not good; the message holds nothing of it."""

    def __init__(self, flaw: Flaw, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


class ProviderError(OidcError):
    """The provider's keys cannot be had."""
