"""Subscriptions of browsers (W3C Push API, `PushSubscription`; keys: RFC 8291, section 2.1 and 3.1)."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from hub.errors import InvalidRequestError

HANDLES: Final = ("endpoint", "p256dh", "auth")
"""What a push channel consists of."""

AUTH_SIZE: Final = 16
POINT_SIZE: Final = 65
MAX_ENDPOINT: Final = 2048  # characters; those of browsers have a few hundred

_ENDPOINT = re.compile(
    r"https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?((?:[/?][!$-;=?-\[\]-~]*)?)"  # no " # < > \ in it
)
_SHORTEST_SECRET: Final = 8
_ORIGIN = re.compile(r"https://[^/?]+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
"""The curve P-256: y² = x³ - 3x + b modulo p (NIST SP 800-186, section 3.2.1.3)."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint with the browser's point (65 bytes, uncompressed) and its secret (16 bytes)."""

    endpoint: str
    p256dh: bytes
    auth: bytes

    @property
    def origin(self) -> str:
        """Scheme, host and port, which the endpoint begins with."""
        match = _ORIGIN.match(self.endpoint)
        assert match is not None
        return match[0]

    @property
    def secret(self) -> str:
        """What is behind the origin; empty if there is next to nothing."""
        tail = self.endpoint[len(self.origin) :].strip("/")
        return tail if len(tail) >= _SHORTEST_SECRET else ""

    def __repr__(self) -> str:  # who knows the rest can push to the browser
        return f"Subscription({self.origin})"


def subscription_of(push_channel: str) -> Subscription:
    """A push channel as it is stored; what is not one any more by today's rules is refused as a new one would be.

    Raises: InvalidRequestError.
    """
    given = orjson.loads(push_channel)
    return Subscription(given["endpoint"], _bytes(given["p256dh"]), _bytes(given["auth"]))


def push_channel_of(text: str) -> str:
    """The push channel of a subscription as a browser writes it: flat, or with its keys below `keys`.

    Raises: InvalidRequestError.
    """
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequestError("pushChannel: a browser's is a JSON object of endpoint, p256dh and auth")
    folded = {str(name).lower(): value for name, value in given.items()}
    keys = folded.get("keys")
    if isinstance(keys, Mapping):
        folded = {**{str(name).lower(): value for name, value in keys.items()}, **folded}
    return joined(*[folded.get(name) for name in HANDLES])


def joined(endpoint: Any, p256dh: Any, auth: Any) -> str:
    """The push channel of these three, each in one spelling, so that a browser cannot be registered as two.

    Raises: InvalidRequestError.
    """
    if not all(isinstance(text, str) and text for text in (endpoint, p256dh, auth)):
        raise InvalidRequestError("pushChannel: a browser's has the texts endpoint, p256dh and auth")
    point, secret = _bytes(_decodable(p256dh, "p256dh")), _bytes(_decodable(auth, "auth"))
    if len(point) != POINT_SIZE or point[0] != 4:
        raise InvalidRequestError(
            f"pushChannel: p256dh has to be an uncompressed point of {POINT_SIZE} bytes in base64url, as getKey('p256dh') "
            f"gives it; this has {len(point)}"
        )
    if not _is_on_curve(point):
        raise InvalidRequestError("pushChannel: p256dh is no point of the curve P-256")
    if len(secret) != AUTH_SIZE:
        raise InvalidRequestError(
            f"pushChannel: auth has to be {AUTH_SIZE} bytes in base64url, as getKey('auth') gives it; "
            f"this has {len(secret)}"
        )
    texts = (_canonical(endpoint), _text(point), _text(secret))
    return orjson.dumps(dict(zip(HANDLES, texts, strict=True))).decode()


def _canonical(endpoint: str) -> str:
    """The endpoint with its host in lower case and without the default port. Raises: InvalidRequestError."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None or (match[2] and not 0 < int(match[2]) < 65536):
        raise InvalidRequestError(
            "pushChannel: endpoint has to be https://HOST/PATH in ASCII, without user and fragment, as the browser gives it"
        )
    if len(endpoint) > MAX_ENDPOINT:
        raise InvalidRequestError(f"pushChannel: endpoint has {len(endpoint)} characters, {MAX_ENDPOINT} are allowed")
    port = "" if match[2] is None or int(match[2]) == 443 else f":{int(match[2])}"
    path = match[3] if match[3].startswith("/") else f"/{match[3]}"
    return f"https://{match[1].lower()}{port}{path}"


def _decodable(text: str, name: str) -> str:
    """Base64url, from either alphabet and with or without padding. Raises: InvalidRequestError."""
    plain = text.rstrip("=").replace("+", "-").replace("/", "_")
    if not _BASE64URL.fullmatch(plain) or len(plain) % 4 == 1:
        raise InvalidRequestError(f"pushChannel: {name} is not base64url")
    return plain


def _bytes(plain: str) -> bytes:
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("pushChannel: a key is not base64url") from error


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _is_on_curve(point: bytes) -> bool:
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0
