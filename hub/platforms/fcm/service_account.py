"""How a Google service account asks for an access token (RFC 7523; Google, "Using OAuth 2.0 for server to server")."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME: Final = 3600  # seconds an assertion is good, the most that Google takes


class ServiceAccountAssertion:
    """Signs assertions of one service account for one scope.

    Raises: ValueError: `private_key` is no unencrypted RSA key in PEM.
    """

    def __init__(
        self,
        *,
        client_email: str,
        private_key: str,
        private_key_id: str,
        audience: str,
        scope: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._claims = {"iss": client_email, "scope": scope, "aud": audience}
        self._key = rsa_key(private_key)
        self._key_id = private_key_id
        self._clock = clock

    def form(self) -> dict[str, str]:
        """The fields of a token request with a fresh assertion."""
        import jwt  # for a daemon that pushes by FCM, not for one that checks its settings

        now = int(self._clock())
        claims = {**self._claims, "iat": now, "exp": now + _LIFETIME}
        assertion = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})
        return {"grant_type": GRANT_TYPE, "assertion": assertion}


@lru_cache(maxsize=16)  # `check`, the sender and each reload ask for the same; OpenSSL examines the primes for long
def rsa_key(pem: str) -> RSAPrivateKey:
    """The key in PEM text. Raises: ValueError."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "the service account's private_key is no PEM key; use the JSON key file as downloaded"
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the service account's private_key is no RSA key; use the JSON key file as downloaded")
    return key
