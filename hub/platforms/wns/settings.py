"""What a hub has to know to push through WNS: an app registered in Microsoft Entra, or in the Microsoft Store."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from hub.platforms.settings import PlatformSettings, Secret, Url

TOKEN_URL: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 - an address
STORE_TOKEN_URL: Final = "https://login.live.com/accesstoken.srf"  # noqa: S105 - an address
SCOPE: Final = "https://wns.windows.com/.default"
STORE_SCOPE: Final = "notify.windows.com"
_SID: Final = "ms-app://"


class WnsSettings(PlatformSettings):
    """WNS with an app registration in Entra ID (Windows App SDK), or with an app of the Microsoft Store (UWP).

    The credential decides which: a Store app has a `package_sid`, an app registration a `tenant` and a `client_id`.
    Channels outside of `allowed_hosts` and below are refused. `token_url` replaces Microsoft's; `tls` and `proxy` hold for
    it and for the channels.
    """

    tenant: Annotated[str, Field(min_length=1)] | None = None
    """The directory of the app registration in Entra ID."""
    client_id: Annotated[str, Field(min_length=1)] | None = None
    """The app registration."""
    package_sid: Annotated[str, Field(min_length=1)] | None = None
    """The package SID of an app of the Microsoft Store, ms-app://…, in place of tenant and client_id."""
    client_secret: Secret
    """The password of the app registration, or the secret of the Store app."""
    token_url: Url | None = None
    """Where access tokens are asked for, if not at Microsoft."""
    allowed_hosts: Annotated[tuple[str, ...], Field(min_length=1)] = ("notify.windows.com",)
    """Channels at other hosts are refused, as a phone may register any address."""

    @model_validator(mode="after")
    def _check_identity(self) -> Self:
        if self.package_sid is None:
            if missing := [name for name in ("tenant", "client_id") if getattr(self, name) is None]:
                raise ValueError(f"{' and '.join(missing)} missing; an app of the Microsoft Store has a package_sid")
        elif self.tenant is not None or self.client_id is not None:
            raise ValueError(
                "package_sid takes the place of tenant and client_id: an app is of the Store or of Entra ID"
            )
        elif not self.package_sid.startswith(_SID):
            raise ValueError(f"package_sid begins with {_SID}")
        return self

    @property
    def token_address(self) -> str:
        """Where access tokens come from."""
        of_microsoft = STORE_TOKEN_URL if self.package_sid else TOKEN_URL.format(tenant=self.tenant)
        return self.token_url or of_microsoft

    @property
    def token_form(self) -> dict[str, str]:
        """The fields of a token request."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.package_sid or self.client_id or "",
            "client_secret": self.client_secret.get_secret_value(),
            "scope": STORE_SCOPE if self.package_sid else SCOPE,
        }
