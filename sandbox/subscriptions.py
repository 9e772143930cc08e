"""Subscriptions of browsers whose private halves the stand-in holds, and how it reads a message for one.

A subscription's keys follow from the token in its endpoint, so that each well-formed endpoint is a browser's. Standards
behind it: RFC 8291, "Message Encryption for Web Push", and RFC 8188, its content coding.
"""

import base64
import hashlib
import struct
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points P-256 has."""
_HEAD = struct.Struct(">16sIB")
_TAG = 16


class UnreadableError(Exception):
    """The browser could not decrypt the message, and why."""


class BrowserKeys(NamedTuple):
    """What a browser keeps of a subscription: its key pair, the public point as 65 bytes, and its secret of 16 bytes."""

    private: ec.EllipticCurvePrivateKey
    p256dh: bytes
    auth: bytes


@lru_cache(maxsize=4096)
def keys_of(token: str) -> BrowserKeys:
    """The keys of the subscription whose endpoint ends with `token`."""
    seed = hashlib.sha512(f"pushbridge sandbox {token}".encode()).digest()
    private = ec.derive_private_key(int.from_bytes(seed[:40]) % (_ORDER - 1) + 1, ec.SECP256R1())
    return BrowserKeys(private, raw_point(private.public_key()), seed[40:56])


def decrypted(body: bytes, keys: BrowserKeys) -> bytes:
    """The message in a body of the coding `aes128gcm` with one record, as Web Push has it.

    Raises: UnreadableError.
    """
    if len(body) < _HEAD.size:
        raise UnreadableError("the body has no header of the coding aes128gcm")
    salt, record_size, id_size = _HEAD.unpack_from(body)
    own_point, record = body[_HEAD.size : _HEAD.size + id_size], body[_HEAD.size + id_size :]
    if not _TAG + 1 < len(record) <= record_size:
        raise UnreadableError("the body is not one record")
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), own_point)
    except ValueError:
        raise UnreadableError("the key in the body is no point of P-256") from None
    shared = keys.private.exchange(ec.ECDH(), sender)
    secret = _hkdf(keys.auth, b"WebPush: info\0" + keys.p256dh + own_point, 32, shared)
    content_key = _hkdf(salt, b"Content-Encoding: aes128gcm\0", 16, secret)
    nonce = _hkdf(salt, b"Content-Encoding: nonce\0", 12, secret)
    try:
        padded = AESGCM(content_key).decrypt(nonce, record, None).rstrip(b"\0")
    except InvalidTag:
        raise UnreadableError("the message is for another subscription, or was changed on the way") from None
    if not padded.endswith(b"\x02"):
        raise UnreadableError("the record is not the last one")
    return padded[:-1]


def raw_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as its 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hkdf(salt: bytes, info: bytes, length: int, key: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)
