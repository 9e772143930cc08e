"""What a hub has to know to push through WNS: an app registered in Microsoft Entra."""

from typing import Annotated, Final

from pydantic import Field

from hub.platforms.settings import PlatformSettings, Secret, Url

TOKEN_URL: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 - an address


class WnsSettings(PlatformSettings):
    """WNS with an app registration in Entra ID. Channels outside of `allowed_hosts` and below are refused.

    `token_url` replaces Entra's; `tls` and `proxy` hold for it and for the channels.
    """

    tenant: Annotated[str, Field(min_length=1)]
    """The directory of the app registration in Entra ID."""
    client_id: Annotated[str, Field(min_length=1)]
    """The app registration."""
    client_secret: Secret
    """The password of the app registration."""
    token_url: Url | None = None
    """Where access tokens are asked for, if not at Entra ID."""
    allowed_hosts: Annotated[tuple[str, ...], Field(min_length=1)] = ("notify.windows.com",)
    """Channels at other hosts are refused, as a phone may register any address."""

    @property
    def token_address(self) -> str:
        """Where access tokens come from."""
        return self.token_url or TOKEN_URL.format(tenant=self.tenant)

    @property
    def channel_hosts(self) -> tuple[str, ...]:
        """The hosts that a channel may be at; one that begins with a dot stands for all below it."""
        hosts = [host.removeprefix(".") for host in self.allowed_hosts]
        return (*hosts, *(f".{host}" for host in hosts))
