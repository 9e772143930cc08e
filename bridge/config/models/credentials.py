"""What a configuration says of keys, certificates and where they are good: each is tried when the configuration is read.

A key that only looked like one would stop the process later, or fail every push of a night.
"""

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, SecretStr

from bridge.config.section import Secret, Section, form
from hub.delivery.remote_settings import RemoteSettings
from hub.egress import Egress
from hub.tls import CaFile, ExistingFile, Tls

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def _connection_string(value: SecretStr) -> SecretStr:
    RemoteSettings.from_connection_string(value.get_secret_value(), hub="")
    return value


class Remote(Section, Egress):
    """A remote hub: an Azure Notification Hub, or one of a central pushbridge; `hub` is the name there, else as here."""

    connection_string: Annotated[Secret, AfterValidator(_connection_string)]
    """That of the other hub or namespace, with a policy that may send."""
    hub: Annotated[str, form("[^/?#]{1,260}", "a hub's name, without / ? and #")] | None = None
    """What the hub is called there, if not as here."""
    durability: Literal["local", "remote"] = "local"
    """Where a notification is when its event is settled: in the store here, or at the other hub, which then has it."""


class ListenerTls(Tls):
    """TLS of a listener. With `ca_file`, clients have to show a certificate that it signed."""

    cert: ExistingFile
    """The certificate chain in PEM."""
    key: ExistingFile
    """The private key in PEM, without a passphrase."""
    ca_file: CaFile | None = None
    """Clients have to show a certificate that this one signed."""

    def server_context(self) -> ssl.SSLContext:
        """A context for connections of clients, from TLS 1.2 on.

        Raises: OSError: a file is gone, or holds something else by now.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self.key, password="")
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @property
    def begins_at(self) -> float:
        """From when on the certificate is good, in seconds since 1970 UTC; of a chain the last to begin counts."""
        return max(each.not_valid_before_utc.timestamp() for each in self._certificates())

    @property
    def expires_at(self) -> float:
        """When the certificate is good no longer, in seconds since 1970 UTC; of a chain the first to run out counts."""
        return min(each.not_valid_after_utc.timestamp() for each in self._certificates())

    def _certificates(self) -> "Sequence[Certificate]":
        from cryptography.x509 import load_pem_x509_certificates

        return load_pem_x509_certificates(self.cert.read_bytes())
