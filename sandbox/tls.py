"""A certificate authority that lives as long as one sandbox, and the server contexts it vouches for."""

import ipaddress
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=30)
KEPT_FOR = timedelta(days=365)
"""How long the certificate of an authority is good that is kept; one that ends within a month is made anew."""


class ServerContext(ssl.SSLContext):
    """Shows the expired certificate of its authority to new connections while `has_expired` says so."""

    has_expired: Callable[[], bool] = staticmethod(lambda: False)


class Authority:
    """A throwaway CA with one server certificate for `127.0.0.1` and `localhost`, written into a directory; another one of
    the same CA has expired.

    Clients are given `ca_file`; nothing is added to any trust store. The CA's own key is never written. With `keep` the
    directory's authority stays the one it is, so that clients which trust it need nothing new.
    """

    def __init__(self, directory: Path, *, keep: bool = False) -> None:
        self.ca_file = directory / "ca.pem"
        self._certificate_file = directory / "server.pem"
        self._expired_file = directory / "expired.pem"
        if not (keep and self._is_good()):
            self._make(lifetime=KEPT_FOR if keep else LIFETIME)

    def _is_good(self) -> bool:
        """Whether the certificate is there, for another month at least."""
        if not all(file.exists() for file in (self.ca_file, self._certificate_file, self._expired_file)):
            return False
        try:
            certificate = x509.load_pem_x509_certificate(self._certificate_file.read_bytes())
        except ValueError:
            return False
        return certificate.not_valid_after_utc - datetime.now(UTC) > LIFETIME

    def _make(self, *, lifetime: timedelta) -> None:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pushbridge sandbox CA")])
        ca = (
            _builder(ca_name, issuer=ca_name, key=ca_key.public_key(), lifetime=lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self._write(self._certificate_file, ca_key, ca_name, lifetime=lifetime)
        self._write(self._expired_file, ca_key, ca_name, lifetime=-timedelta(minutes=1))

    def _write(
        self, file: Path, ca_key: ec.EllipticCurvePrivateKey, ca_name: x509.Name, *, lifetime: timedelta
    ) -> None:
        """A server's certificate with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            _builder(name, issuer=ca_name, key=key.public_key(), lifetime=lifetime)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        file.touch(mode=0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )

    def server_context(self, protocols: Sequence[str]) -> ServerContext:
        """TLS 1.2 or newer, offering `protocols` by ALPN (RFC 7301), the preferred first."""
        context = _context(self._certificate_file, protocols)
        expired = _context(self._expired_file, protocols)

        def choose(handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
            if context.has_expired():
                handshake.context = expired

        context.sni_callback = choose  # OpenSSL asks it of clients that name no server too
        return context


def _context(certificate_file: Path, protocols: Sequence[str]) -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file)
    context.set_alpn_protocols(list(protocols))
    return context


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
