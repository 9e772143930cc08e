"""Messages that only the browser reads (RFC 8291, "Message Encryption for Web Push"; coding: RFC 8188, aes128gcm).

HKDF (RFC 5869) is written out: each of its outputs here is one block of HMAC. So is HMAC (RFC 2104), by two of hashlib's
digests: for a message there are five, and each takes two thirds of what `hmac.digest` does.
"""

import os
import struct
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.platforms.webpush.sizes import MAX_BODY

_CURVE: Final = ec.SECP256R1()
_ECDH: Final = ec.ECDH()
_SALT_SIZE: Final = 16
_KEY_SIZE, _NONCE_SIZE = 16, 12
_HEAD: Final = struct.Struct(">IB")  # record size and length of the sender's point, behind the salt
_POINT_SIZE: Final = 65
_LAST_RECORD: Final = b"\x02"

_BLOCK_SIZE: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))

_KEY_INFO: Final = b"Content-Encoding: aes128gcm\0\x01"
_NONCE_INFO: Final = b"Content-Encoding: nonce\0\x01"


def point_of(raw: bytes) -> ec.EllipticCurvePublicKey:
    """A browser's public key. Raises: ValueError: no uncompressed point of the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)


def encrypted(message: bytes, point: ec.EllipticCurvePublicKey, raw_point: bytes, auth: bytes) -> bytes:
    """The body for one browser, with a key pair and a salt of its own; `raw_point` is `point` as its 65 bytes."""
    return encrypted_with(ec.generate_private_key(_CURVE), os.urandom(_SALT_SIZE), message, point, raw_point, auth)


def encrypted_with(
    key: ec.EllipticCurvePrivateKey,
    salt: bytes,
    message: bytes,
    point: ec.EllipticCurvePublicKey,
    raw_point: bytes,
    auth: bytes,
) -> bytes:
    """As `encrypted`, with a key pair and a salt that were never used before and never will be again."""
    own_point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = _hmac(auth, key.exchange(_ECDH, point))
    secret = _hmac(salt, _hmac(shared, b"WebPush: info\0" + raw_point + own_point + b"\x01"))
    content_key, nonce = _hmac(secret, _KEY_INFO)[:_KEY_SIZE], _hmac(secret, _NONCE_INFO)[:_NONCE_SIZE]
    head = salt + _HEAD.pack(MAX_BODY, _POINT_SIZE) + own_point
    return head + AESGCM(content_key).encrypt(nonce, message + _LAST_RECORD, None)


def _hmac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256; the key is no longer than a block of SHA-256, as salts, secrets and digests are."""
    padded = key.ljust(_BLOCK_SIZE, b"\0")
    return sha256(padded.translate(_OUTER) + sha256(padded.translate(_INNER) + data).digest()).digest()
