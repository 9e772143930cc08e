"""What a configuration says of keys, certificates and where they are good: each is tried when the configuration is read.

A key that only looked like one would stop the process later, or fail every push of a night.
"""

import re
import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from bridge.config.section import Secret, Section, form
from connectors.files import ExistingFile
from hub.delivery.remote_settings import RemoteSettings


def _url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise ValueError("not an address; write https://host, or https://host:port")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]


def _roots(path: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:  # ssl.SSLError among them
        raise ValueError(f"there is no certificate in {path}; it has to be PEM") from None
    return path


CaFile = Annotated[ExistingFile, AfterValidator(_roots)]


def _signing_key(key: SecretStr) -> SecretStr:
    if "-----BEGIN PRIVATE KEY-----" not in key.get_secret_value():
        raise ValueError("not the text of a .p8 file; write ${file:/path/to/key.p8}")
    from hub.platforms.apns.token import ProviderToken  # needs cryptography, as the sender will

    ProviderToken(key=key.get_secret_value(), key_id="", team_id="")
    return key


def _service_account(account: SecretStr) -> SecretStr:
    text = account.get_secret_value()
    if not text.lstrip().startswith("{"):
        raise ValueError("not JSON; write ${file:/path/to/service-account.json}")
    from hub.platforms.fcm.sender import FcmSender, FcmSettings  # needs libcurl and cryptography, as the sender will

    FcmSender(FcmSettings.from_service_account(text))
    return account


AppleId = Annotated[str, form("[A-Z0-9]{10}", "ten capital letters and digits, as Apple shows it")]


class Apns(Section):
    """Token authentication of the APNs provider API; `key` is the text of the .p8 file."""

    key: Annotated[Secret, AfterValidator(_signing_key)]
    key_id: AppleId
    team_id: AppleId
    topic: Annotated[str, Field(min_length=1)]
    environment: Literal["production", "sandbox"] = "production"
    endpoint: Url | None = None
    ca_file: CaFile | None = None


class Fcm(Section):
    """FCM HTTP v1; `service_account` is the text of the JSON file."""

    service_account: Annotated[Secret, AfterValidator(_service_account)]
    endpoint: Url | None = None
    ca_file: CaFile | None = None


class Wns(Section):
    """WNS with an app registration in Entra ID. Channels outside of `allowed_hosts` and below are refused."""

    tenant: Annotated[str, Field(min_length=1)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Secret
    token_url: Url | None = None
    allowed_hosts: Annotated[tuple[str, ...], Field(min_length=1)] = ("notify.windows.com",)
    ca_file: CaFile | None = None


def _connection_string(value: SecretStr) -> SecretStr:
    RemoteSettings.from_connection_string(value.get_secret_value(), hub="")
    return value


class Remote(Section):
    """A hub elsewhere: an Azure Notification Hub, or one of a central pushbridge, called `hub` there (here's name else)."""

    connection_string: Annotated[Secret, AfterValidator(_connection_string)]
    """That of the other hub or namespace, with a policy that may send."""
    hub: Annotated[str, form("[^/?#]{1,260}", "a hub's name, without / ? and #")] | None = None
    """What the hub is called there, if not as here."""
    ca_file: CaFile | None = None
    """Certificates to trust in place of the system's."""


class Tls(Section):
    """Files in PEM, the key without a passphrase. With `ca`, clients have to show a certificate it signed."""

    cert: ExistingFile
    """The certificate chain in PEM."""
    key: ExistingFile
    """The private key in PEM, without a passphrase."""
    ca: CaFile | None = None
    """Clients have to show a certificate that this one signed."""

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
