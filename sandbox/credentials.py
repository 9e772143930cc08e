"""What the real services would have handed out to one developer: keys, ids and a secret, made once and kept if asked."""

import functools
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sandbox.errors import SandboxError

_FILE = "issued.json"
_CURE = "delete the directory, and new credentials are made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The private halves; `key_id` serves both Apple's key and Google's."""

    key_id: str
    team_id: str
    client_secret: str = field(repr=False)
    apns_key: ec.EllipticCurvePrivateKey = field(repr=False)
    fcm_key: rsa.RSAPrivateKey = field(repr=False)
    vapid_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def made(cls) -> Self:
        """New ones."""
        return cls(
            key_id=_identifier(),
            team_id=_identifier(),
            client_secret=secrets.token_urlsafe(24),
            apns_key=ec.generate_private_key(ec.SECP256R1()),
            fcm_key=_rsa_key(),
            vapid_key=ec.generate_private_key(ec.SECP256R1()),
        )

    @classmethod
    def kept(cls, directory: Path) -> Self:
        """Those of the last time that `directory` was used, else new ones, which stay there.

        Raises: SandboxError: what is there cannot be read.
        """
        path = directory / _FILE
        if not path.exists():
            issued = cls.made()
            write_secret(path, issued._as_json())
            return issued
        try:
            fields = orjson.loads(path.read_bytes())
            is_older = "vapid_key" not in fields
            if is_older:  # made before there was a stand-in for browsers
                fields["vapid_key"] = pem(ec.generate_private_key(ec.SECP256R1())).decode()
            apns_key, fcm_key, vapid_key = (
                serialization.load_pem_private_key(fields.pop(name).encode(), None)
                for name in ("apns_key", "fcm_key", "vapid_key")
            )
            assert isinstance(apns_key, ec.EllipticCurvePrivateKey)
            assert isinstance(fcm_key, rsa.RSAPrivateKey)
            assert isinstance(vapid_key, ec.EllipticCurvePrivateKey)
            issued = cls(**fields, apns_key=apns_key, fcm_key=fcm_key, vapid_key=vapid_key)
        except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
            raise SandboxError(f"{path}: no credentials of a sandbox ({_CURE})") from error
        if is_older:
            write_secret(path, issued._as_json())
        return issued

    def _as_json(self) -> bytes:
        return orjson.dumps(
            {
                "key_id": self.key_id,
                "team_id": self.team_id,
                "client_secret": self.client_secret,
                "apns_key": pem(self.apns_key).decode(),
                "fcm_key": pem(self.fcm_key).decode(),
                "vapid_key": pem(self.vapid_key).decode(),
            },
            option=orjson.OPT_INDENT_2,
        )


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A private key as the services hand it out: PKCS #8 in PEM, without a password."""
    encryption = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def write_secret(path: Path, content: bytes) -> None:
    """A file that only its owner reads, whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    beside.replace(path)


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """One a process: making it takes longer than everything else in a start."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _identifier() -> str:
    """Ten characters, as Apple's key and team ids are."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(10))
