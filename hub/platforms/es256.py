"""JSON web tokens that a key on P-256 signs (JWT: RFC 7519, ES256: RFC 7518), as Apple and Web Push take them."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def signed_token(key: ec.EllipticCurvePrivateKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A token of these claims; the signature is deterministic (RFC 6979), so the same claims give the same token."""
    signed = f"{base64url(orjson.dumps({'alg': 'ES256', **header}))}.{base64url(orjson.dumps(claims))}"
    der = key.sign(signed.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"


def pem_key(pem: str) -> ec.EllipticCurvePrivateKey | None:
    """The private key on P-256 in PEM text, None for another kind of key. Raises: ValueError: no unencrypted PEM key."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    is_p256 = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    return key if is_p256 and isinstance(key, ec.EllipticCurvePrivateKey) else None


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
