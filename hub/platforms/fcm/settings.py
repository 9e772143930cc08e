"""What a hub has to know to push through FCM: a service account as the Google Cloud console hands it out."""

from dataclasses import dataclass, field
from typing import Annotated, Final, Self

import orjson
from pydantic import AfterValidator, SecretStr

from hub.platforms.settings import PlatformSettings, Secret, Url

ENDPOINT: Final = "https://fcm.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """An account that may send to a project; `private_key` is PEM text."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From the JSON key file. Raises: ValueError: names what is missing."""
        try:
            account = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the service account is no JSON: {error}") from error
        needed = ("project_id", "client_email", "private_key")
        account = account if isinstance(account, dict) else {}
        missing = [name for name in needed if not isinstance(account.get(name), str) or not account[name]]
        if missing:
            raise ValueError(f"the service account lacks {', '.join(missing)}; use the JSON key file as downloaded")
        optional = {name: str(account[name]) for name in ("private_key_id", "token_uri") if account.get(name)}
        return cls(**{name: account[name] for name in needed}, **optional)


def _service_account(account: SecretStr) -> SecretStr:
    text = account.get_secret_value()
    if not text.lstrip().startswith("{"):
        raise ValueError("not JSON; write ${file:/path/to/service-account.json}")
    from hub.platforms.fcm.service_account import rsa_key  # needs cryptography, as the sender will

    rsa_key(ServiceAccount.from_json(text).private_key)
    return account


class FcmSettings(PlatformSettings):
    """FCM HTTP v1; `service_account` is the text of the JSON file.

    `endpoint` replaces Google's host; `tls` and `proxy` hold for it and for the account's `token_uri`.
    """

    service_account: Annotated[Secret, AfterValidator(_service_account)]
    """The text of the JSON file that Firebase makes."""
    endpoint: Url | None = None
    """An address in place of Google's, such as a stand-in."""

    @property
    def origin(self) -> str:
        """Scheme and host of the service."""
        return self.endpoint or ENDPOINT

    @property
    def account(self) -> ServiceAccount:
        """The service account, read."""
        return ServiceAccount.from_json(self.service_account.get_secret_value())
