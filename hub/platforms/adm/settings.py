"""What a hub has to know to push through ADM: a security profile of Amazon's with messaging enabled."""

from typing import Annotated, Final

from pydantic import Field

from hub.platforms.settings import PlatformSettings, Secret, Url

ENDPOINT: Final = "https://api.amazon.com"
TOKEN_PATH: Final = "/auth/O2/token"  # noqa: S105 - an address


class AdmSettings(PlatformSettings):
    """Amazon Device Messaging with the client id and secret of a security profile.

    `endpoint` and `token_url` replace Amazon's; `tls` and `proxy` hold for both.
    """

    client_id: Annotated[str, Field(min_length=1)]
    """The client id of the security profile."""
    client_secret: Secret
    """The client secret of the security profile."""
    endpoint: Url = ENDPOINT
    """An address in place of Amazon's, such as a stand-in."""
    token_url: Url | None = None
    """Where access tokens are asked for, if not at the endpoint."""

    @property
    def token_address(self) -> str:
        """Where access tokens are asked for."""
        return self.token_url or self.endpoint + TOKEN_PATH
