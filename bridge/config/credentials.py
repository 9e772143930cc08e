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
    """A hub elsewhere: an Azure Notification Hub, or one of a central pushbridge, called `hub` there (here's name else)."""

    connection_string: Annotated[Secret, AfterValidator(_connection_string)]
    hub: Annotated[str, form("[^/?#]{1,260}", "a hub's name, without / ? and #")] | None = None
    ca_file: CaFile | None = None


class Tls(Section):
    """Files in PEM, the key without a passphrase. With `ca`, clients have to show a certificate it signed."""

    cert: ExistingFile
    key: ExistingFile
    ca: CaFile | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        try:
            # Asked for a passphrase, OpenSSL would ask whoever sits at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password="")
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            raise ValueError(
                "cert is no certificate in PEM, or key is not its private key without a passphrase"
            ) from None
        return self
