"""What a configuration says of keys, certificates and where they are good: each is tried when the configuration is read.

A key that only looked like one would stop the process later, or fail every push of a night.
"""

import ssl
from typing import Annotated, Self

from pydantic import AfterValidator, SecretStr, model_validator

from bridge.config.section import Secret, Section, form
from connectors.files import ExistingFile
from hub.delivery.remote_settings import RemoteSettings
from hub.platforms.settings import CaFile


def _connection_string(value: SecretStr) -> SecretStr:
    RemoteSettings.from_connection_string(value.get_secret_value(), hub="")
    return value


class Remote(Section):
    """A remote hub: an Azure Notification Hub, or one of a central pushbridge; `hub` is the name there, else as here."""

    connection_string: Annotated[Secret, AfterValidator(_connection_string)]
    """That of the other hub or namespace, with a policy that may send."""
    hub: Annotated[str, form("[^/?#]{1,260}", "a hub's name, without / ? and #")] | None = None
    """What the hub is called there, if not as here."""
    ca_file: CaFile | None = None
    """Certificates to trust in place of the system's."""


class ListenerTls(Section):
    """Files in PEM, the key without a passphrase. With `ca_file`, clients have to show a certificate it signed."""

    cert: ExistingFile
    """The certificate chain in PEM."""
    key: ExistingFile
    """The private key in PEM, without a passphrase."""
    ca_file: CaFile | None = None
    """Clients have to show a certificate that this one signed."""

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        try:
            # Asked for a passphrase, OpenSSL would ask at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password="")
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            raise ValueError(
                "cert is no certificate in PEM, or key is not its private key without a passphrase"
            ) from None
        return self
