"""What a hub has to know to push through APNs (Apple, "Establishing a token-based connection to APNs")."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr

from hub.platforms.settings import PlatformSettings, Secret, Url

VOIP_HUB: Final = ".voip"
"""How the name of a hub ends whose pushes are calls."""

HOSTS: Final = {"production": "https://api.push.apple.com", "sandbox": "https://api.sandbox.push.apple.com"}


def _signing_key(key: SecretStr) -> SecretStr:
    if "-----BEGIN PRIVATE KEY-----" not in key.get_secret_value():
        raise ValueError("not the text of a .p8 file; write ${file:/path/to/key.p8}")
    from hub.platforms.apns.token import ProviderToken  # needs cryptography, as the sender will

    ProviderToken(key=key.get_secret_value(), key_id="", team_id="")
    return key


def _apple_id(text: str) -> str:
    if not re.fullmatch("[A-Z0-9]{10}", text):
        raise ValueError("expected ten capital letters and digits, as Apple shows it")
    return text


AppleId = Annotated[str, AfterValidator(_apple_id)]


class ApnsSettings(PlatformSettings):
    """Token authentication of the APNs provider API; `key` is the text of the .p8 file, `topic` the bundle id.

    `endpoint` replaces Apple's host of the environment.
    """

    key: Annotated[Secret, AfterValidator(_signing_key)]
    """The text of the .p8 file that signs provider tokens."""
    key_id: AppleId
    """Apple's ten characters for that .p8 file."""
    team_id: AppleId
    """Apple's ten characters for the developer account."""
    topic: Annotated[str, Field(min_length=1)]
    """The bundle id of the app."""
    push_type: Literal["alert", "voip"] | None = None
    """The apns-push-type of pushes that say none: voip for a hub whose name ends in .voip, else by the payload."""
    environment: Literal["production", "sandbox"] = "production"
    """Which of Apple's two services the device tokens are from."""
    endpoint: Url | None = None
    """An address in place of Apple's, such as a stand-in."""

    @property
    def origin(self) -> str:
        """Scheme and host of the service."""
        return self.endpoint or HOSTS[self.environment]

    def for_hub(self, name: str) -> Self:
        """A hub for VoIP is one whose name says so."""
        if self.push_type is None and name.lower().endswith(VOIP_HUB):
            return self.model_copy(update={"push_type": "voip"})
        return self
