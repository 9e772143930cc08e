"""Certificates by which Apple knows a provider: who makes them, and what stands in them.

Standard behind it: Apple, "Establishing a certificate-based connection to APNs". The topics that a certificate is good for
stand in an extension of Apple's own.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.credentials import write_secret

TOPICS = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")
LIFETIME = timedelta(days=365)

SUFFIXES = {"": "app", ".voip": "voip", ".complication": "complication"}
"""What Apple puts behind the bundle id for the topics of an app's certificate, and what it says of each."""


class ProviderCertificates:
    """A throwaway issuer with a certificate for one app, written into a directory as a `.p12` with a password.

    With `keep` the directory's certificate stays the one it is.
    """

    def __init__(self, directory: Path, *, bundle_id: str, password: str, keep: bool = False) -> None:
        self.certificate_file = directory / "apns-certificate.p12"
        self._issuer_file = directory / "apns-issuer.pem"
        self._bundle_id, self._password = bundle_id, password
        if not (keep and self.certificate_file.exists() and self._issuer_file.exists()):
            self._issuer = made_issuer()
            write_secret(self._issuer_file, self._issuer[1].public_bytes(Encoding.PEM))
            self.renew()

    def renew(self, *, lifetime: timedelta = LIFETIME) -> None:
        """Another certificate in the place of the one in the file, as a whole; not of a directory that was kept."""
        content = made_certificate(self._bundle_id, *self._issuer, password=self._password, lifetime=lifetime)
        write_secret(self.certificate_file, content)

    def asked_for(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The context, by which clients may show a certificate of this issuer, and none of another."""
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self._issuer_file)
        return context


def made_issuer() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pushbridge sandbox Worldwide Developer Relations")])
    builder = _builder(name, name, key.public_key(), LIFETIME)
    return key, builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
        key, hashes.SHA256()
    )


def made_certificate(
    bundle_id: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    *,
    password: str,
    suffixes: Sequence[str] = tuple(SUFFIXES),
    lifetime: timedelta = LIFETIME,
) -> bytes:
    """A certificate with its private key, as PKCS #12."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, bundle_id),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Apple Push Services: {bundle_id}"),
        ]
    )
    topics = b"".join(
        _element(0x0C, (bundle_id + suffix).encode()) + _element(0x30, _element(0x0C, SUFFIXES[suffix].encode()))
        for suffix in suffixes
    )
    builder = (
        _builder(subject, issuer.subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
    )
    if suffixes:
        builder = builder.add_extension(x509.UnrecognizedExtension(TOPICS, _element(0x30, topics)), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    encryption = BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(b"push", key, certificate, None, encryption)


def topics_of(der: bytes) -> tuple[str, ...]:
    """The topics that a certificate is good for; without the extension, the user id of its subject alone."""
    certificate = x509.load_der_x509_certificate(der)
    user_ids = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    try:
        extension = certificate.extensions.get_extension_for_oid(TOPICS).value
    except x509.ExtensionNotFound:
        return tuple(str(each.value) for each in user_ids)
    assert isinstance(extension, x509.UnrecognizedExtension)
    found = extension.value
    names, place = [], 4 if found[1] == 0x82 else 3 if found[1] == 0x81 else 2
    while place < len(found):
        size = found[place + 1]
        if found[place] == 0x0C:
            names.append(found[place + 2 : place + 2 + size].decode())
        place += 2 + size
    return tuple(names)


def _element(tag: int, content: bytes) -> bytes:
    """One element of DER (X.690)."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82, *size.to_bytes(2)]) if size > 0xFF else bytes([0x81, size])
    return bytes([tag]) + length + content


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lifetime) - timedelta(hours=1))
        .not_valid_after(now + lifetime)
    )
