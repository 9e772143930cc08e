"""Provider tokens of APNs (Apple, "Establishing a token-based connection to APNs")."""

import time
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from hub.platforms.es256 import pem_key, signed_token

_BUCKET: Final = 35 * 60  # seconds a token is used; Apple wants a new one after 20 to 60 minutes
_LONGEST: Final = 55 * 60  # seconds a token is used when Apple refuses the next one; 60 is Apple's limit
_SKEW: Final = 30  # seconds that our clock may be ahead of Apple's: an `iat` in the future is refused


class ProviderToken:
    """The token of one (team, key), the same in every process at every moment and after every restart.

    Apple counts the different tokens of a team and refuses too many. So `iat` is the start of a 35-minute bucket of the
    clock and the signature is deterministic (RFC 6979): replicas and restarts make the same token without knowing
    of each other.

    Raises: ValueError: `key` is no unencrypted PEM key on P-256.
    """

    def __init__(self, *, key: str, key_id: str, team_id: str, clock: Callable[[], float] = time.time) -> None:
        self._key = _private_key(key)
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._signed: dict[int, str] = {}  # by bucket, the last two
        self._refused_bucket = -1

    def current(self) -> str:
        """The token to send now; costs a signature every 35 minutes."""
        now = self._clock() - _SKEW
        bucket = int(now // _BUCKET)
        if bucket == self._refused_bucket and now - (bucket - 1) * _BUCKET < _LONGEST:
            bucket -= 1
        if bucket not in self._signed:
            newest = {known: token for known, token in self._signed.items() if known >= bucket - 1}
            self._signed = newest | {bucket: self._sign(bucket * _BUCKET)}
        return self._signed[bucket]

    def refuse_update(self, token: str) -> None:
        """APNs answered TooManyProviderTokenUpdates to `token`: stay with the one before while it is valid."""
        self._refused_bucket = next((bucket for bucket, signed in self._signed.items() if signed == token), -1)

    def expire(self, token: str) -> None:
        """APNs answered ExpiredProviderToken to `token`: if it was one that we stayed with, go on to the next."""
        if self._signed.get(self._refused_bucket - 1) == token:
            self._refused_bucket = -1

    def _sign(self, issued_at: int) -> str:
        return signed_token(self._key, {"kid": self._key_id}, {"iss": self._team_id, "iat": issued_at})


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = pem_key(pem)
    except ValueError as error:
        raise ValueError("the APNs key is no PEM private key; paste the whole .p8 file as Apple gave it") from error
    if key is None:
        raise ValueError("the APNs key is no P-256 key; it has to be the .p8 file of an APNs authentication key")
    return key
