"""Certificates by which Apple knows a provider (Apple, "Establishing a certificate-based connection to APNs").

Apple puts into a certificate the topics that it is good for. They stand in an extension of Apple's own, as a list of each
topic and what it is for; the bundle id of the app is the user id of the subject.
"""

import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

_TOPICS: Final = tuple(map(x509.ObjectIdentifier, ("1.2.840.113635.100.6.3.6", "1.2.840.113635.100.6.3.4")))
_SEQUENCE, _UTF8_STRING = 0x30, 0x0C
MDM: Final = "com.apple.mgmt."
"""How topics begin that manage devices instead of showing something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushCertificate:
    """A certificate with its private key. `topics` are what Apple lets it push to, the app's bundle id first."""

    topics: tuple[str, ...]
    expires_at: datetime
    _chain: bytes = field(repr=False)
    _key: bytes = field(repr=False)
    _passphrase: bytes = field(repr=False)

    @classmethod
    def read(cls, content: bytes, password: str | None) -> "PushCertificate":
        """From PKCS #12 or PEM, with the private key in it. Raises: ValueError: says what is wrong."""
        secret = None if password is None else password.encode()
        key, own, others = _from_pem(content, secret) if b"-----BEGIN" in content else _from_pkcs12(content, secret)
        passphrase = secrets.token_hex(16).encode()
        return cls(
            topics=topics_of(own),
            expires_at=own.not_valid_after_utc,
            _chain=b"".join(each.public_bytes(Encoding.PEM) for each in (own, *others)),
            _key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)),
            _passphrase=passphrase,
        )

    def is_expired(self, now: float) -> bool:
        """At `now`, in seconds since 1970 UTC."""
        return datetime.fromtimestamp(now, UTC) >= self.expires_at

    def show(self, context: ssl.SSLContext) -> None:
        """Have connections of this context show it. Raises: OSError.

        OpenSSL reads a file: the key in it is encrypted, by a passphrase that this process alone knows.
        """
        with NamedTemporaryFile() as file:
            file.write(self._chain + self._key)
            file.flush()
            context.load_cert_chain(file.name, password=self._passphrase)


_Parts = tuple[Any, x509.Certificate, list[x509.Certificate]]
"""A private key of any kind, its certificate, and those that vouch for it."""


def _from_pkcs12(content: bytes, password: bytes | None) -> _Parts:
    try:
        key, own, others = pkcs12.load_key_and_certificates(content, password)
    except ValueError as error:
        cure = "its password is another" if password else "it is no PKCS #12, or has a password: certificate_password"
        raise ValueError(f"the certificate cannot be read: {cure}") from error
    if key is None or own is None:
        raise ValueError("the file has no certificate with its private key; export both from the keychain")
    return key, own, list(others)


def _from_pem(content: bytes, password: bytes | None) -> _Parts:
    try:
        own, *others = x509.load_pem_x509_certificates(content)
        key = load_pem_private_key(content, password)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "the file has to hold the certificate and its private key in PEM; an encrypted key needs certificate_password"
        ) from error
    if key.public_key() != own.public_key():
        raise ValueError("the private key is not that of the first certificate in the file")
    return key, own, others


def topics_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """What Apple lets a certificate push to, the user id of its subject first. Raises: ValueError: it names nothing."""
    found = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
    for oid in _TOPICS:
        try:
            value = certificate.extensions.get_extension_for_oid(oid).value
        except x509.ExtensionNotFound:
            continue
        if isinstance(value, x509.UnrecognizedExtension):
            found += _texts(value.value)
    if not found:
        raise ValueError("the certificate names no topic; it has to be one for APNs")
    return tuple(dict.fromkeys(found))


def _texts(der: bytes) -> Iterator[str]:
    """The texts of the outer sequence (X.690): each is followed by a sequence that says what it is for."""
    for tag, content in _elements(der):
        if tag != _SEQUENCE:
            continue
        yield from (text.decode("utf-8", "replace") for kind, text in _elements(content) if kind == _UTF8_STRING)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    while len(der) >= 2:
        tag, size, start = der[0], der[1], 2
        if size & 0x80:
            count = size & 0x7F
            size, start = int.from_bytes(der[2 : 2 + count]), 2 + count
        yield tag, der[start : start + size]
        der = der[start + size :]


def read_file(path: Path, password: str | None) -> PushCertificate:
    """See `PushCertificate.read`. Raises: ValueError."""
    try:
        return PushCertificate.read(path.read_bytes(), password)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
