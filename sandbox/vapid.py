"""What a push service of browsers demands of the token that says who sends (RFC 8292)."""

import base64
import binascii
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.exchange import RefusedError
from sandbox.journal import Clock
from sandbox.subscriptions import raw_point

MAX_LIFE = timedelta(hours=24)
_KEPT = 1024


class VapidTokens:
    """Checks `authorization` headers; a signature is verified once, however many requests carry the token."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._verified: dict[str, tuple[dict[str, object], bytes]] = {}

    def admit(self, authorization: str | None, origins: Collection[str]) -> bytes:
        """The public key, as its 65 bytes, that signed a token which is good for one of `origins`.

        Raises: RefusedError.
        """
        if authorization is None:
            raise RefusedError(401, "the request has no Authorization of the scheme vapid")
        claims, key = self._verified.get(authorization) or self._verify(authorization)
        audience, ends, subject = claims.get("aud"), claims.get("exp"), claims.get("sub")
        if audience not in origins:
            raise RefusedError(403, "the aud claim of the token is another origin than this one")
        if not isinstance(ends, int):
            raise RefusedError(403, "the token has no exp claim that is a number")
        try:
            left = datetime.fromtimestamp(ends, UTC) - self._clock()
        except (ValueError, OverflowError, OSError):
            raise RefusedError(403, "the exp claim of the token is no time") from None
        if left <= timedelta():
            raise RefusedError(401, "the token has expired")
        if left > MAX_LIFE:
            raise RefusedError(403, "the exp claim of the token is more than 24 hours away")
        if not isinstance(subject, str) or not subject.startswith(("mailto:", "https:")):
            raise RefusedError(403, "the sub claim of the token is neither mailto: nor https:")
        return key

    def _verify(self, authorization: str) -> tuple[dict[str, object], bytes]:
        scheme, _, rest = authorization.partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        if scheme.lower() != "vapid" or not fields.keys() >= {"t", "k"}:
            raise RefusedError(401, "the Authorization is not vapid t=TOKEN, k=KEY")
        try:
            text = fields["k"]
            point = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            claims = jwt.decode(
                fields["t"],
                key,
                algorithms=["ES256"],
                options={"verify_aud": False, "verify_exp": False, "verify_sub": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, ValueError, binascii.Error):
            raise RefusedError(401, "the token is not signed by its key") from None
        if len(self._verified) >= _KEPT:
            self._verified.clear()
        self._verified[authorization] = claims, raw_point(key)
        return self._verified[authorization]
