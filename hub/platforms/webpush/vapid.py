"""Who sends: a signed token for each push service (RFC 8292, "Voluntary Application Server Identification")."""

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.platforms.es256 import base64url, pem_key, signed_token

LIFETIME: Final = 12 * 3600  # seconds; services refuse more than 24 hours
_USED_FOR: Final = LIFETIME // 2  # seconds; the rest is for pushes under way and for clocks that differ
_ORIGINS_KEPT: Final = 4096
_PRIVATE_SIZE: Final = 32


class VapidKey:
    """The key pair that browsers subscribe with; without it every subscription made with it is lost.

    `text` is PEM, or the 32 bytes of the private key in base64url as tools for Web Push print them.

    Raises: ValueError: it is neither.
    """

    def __init__(self, text: str) -> None:
        self.private = _private_key(text.strip())
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64url(point)
        """What a page gives as `applicationServerKey`."""


class VapidTokens:
    """A token for each origin, used for half its life; those of the origins used last are kept."""

    def __init__(self, key: VapidKey, *, subject: str, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._subject = subject
        self._clock = clock
        self._lines: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def authorization(self, origin: str) -> str:
        """The value of the field `authorization` for an origin: `https://host`, with a port if it is not 443."""
        now = self._clock()
        made_at, value = self._lines.get(origin, (0.0, ""))
        if not value or not 0 <= now - made_at < _USED_FOR:
            claims = {"aud": origin, "exp": int(now) + LIFETIME, "sub": self._subject}
            value = f"vapid t={signed_token(self._key.private, {'typ': 'JWT'}, claims)}, k={self._key.public}"
            self._lines[origin] = (now, value)
            if len(self._lines) > _ORIGINS_KEPT:
                self._lines.popitem(last=False)
        self._lines.move_to_end(origin)
        return value

    def forget(self, origin: str) -> None:
        """A service refused the token: the next one is new."""
        self._lines.pop(origin, None)


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    if text.startswith("-----BEGIN"):
        try:
            key = pem_key(text)
        except ValueError as error:
            raise ValueError("no private key in PEM without a password") from error
        if key is None:
            raise ValueError("no key on the curve P-256; make one: openssl ecparam -genkey -name prime256v1 -noout")
        return key
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        if len(raw) != _PRIVATE_SIZE:
            raise ValueError
        return ec.derive_private_key(int.from_bytes(raw), ec.SECP256R1())
    except (binascii.Error, ValueError):
        raise ValueError("neither a key in PEM nor the 32 bytes of a private key in base64url") from None
