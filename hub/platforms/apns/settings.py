"""What a hub has to know to push through APNs: a key that signs tokens, or a certificate.

Apple, "Establishing a token-based connection to APNs" and "Establishing a certificate-based connection to APNs".
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator
from pydantic_core import PydanticKnownError

from hub.platforms.settings import PlatformSettings, Secret, Url
from hub.tls import ExistingFile

if TYPE_CHECKING:
    from hub.platforms.apns.certificate import PushCertificate

VOIP_HUB: Final = ".voip"
"""How the name of a hub ends whose pushes are calls."""

HOSTS: Final = {"production": "https://api.push.apple.com", "sandbox": "https://api.sandbox.push.apple.com"}

CHANNEL_HOSTS: Final = {
    "production": "https://api-manage-broadcast.push.apple.com:2196",
    "sandbox": "https://api-manage-broadcast.sandbox.push.apple.com:2195",
}


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


def _or_certificate(value: Any, info: ValidationInfo) -> Any:
    """What a key needs is missing where there is no certificate; of one that is unusable it is complained already."""
    if value is None and "certificate" in info.data and info.data["certificate"] is None:
        raise PydanticKnownError("missing")
    return value


_OrCertificate: Final = AfterValidator(_or_certificate)
_NONE: Final = Field(default=None, validate_default=True)


class ApnsSettings(PlatformSettings):
    """The APNs provider API, by a key or by a certificate.

    A key is the text of a .p8 file and serves all apps of a team; `topic` is the bundle id of one. A certificate is for one
    app and for the topics that stand in it. `endpoint` replaces Apple's host of the environment.
    """

    certificate: ExistingFile | None = None
    """In place of a key: the file of a certificate with its private key, in PKCS #12 (.p12) or PEM."""
    certificate_password: Secret | None = None
    """The password of that file."""
    key: Annotated[Annotated[Secret, AfterValidator(_signing_key)] | None, _OrCertificate] = _NONE
    """The text of the .p8 file that signs provider tokens."""
    key_id: Annotated[AppleId | None, _OrCertificate] = _NONE
    """Apple's ten characters for that .p8 file."""
    team_id: Annotated[AppleId | None, _OrCertificate] = _NONE
    """Apple's ten characters for the developer account."""
    topic: Annotated[Annotated[str, Field(min_length=1)] | None, _OrCertificate] = _NONE
    """The bundle id of the app; the one in the certificate unless set."""
    push_type: Literal["alert", "voip", "mdm"] | None = None
    """The apns-push-type of pushes that say none: voip for a hub whose name ends in .voip, else by the payload."""
    environment: Literal["production", "sandbox"] = "production"
    """Which of Apple's two services the device tokens are from."""
    endpoint: Url | None = None
    """An address in place of Apple's, such as a stand-in."""
    broadcast_endpoint: Url | None = None
    """Where Live Activities are broadcast, if not at the same address: Apple's texts name two (unconfirmed)."""
    channels_endpoint: Url | None = None
    """Where broadcast channels are made and listed, if not at Apple's address for it."""

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if self.certificate is None:
            return self
        if given := next((name for name in ("key", "key_id", "team_id") if getattr(self, name) is not None), ""):
            raise ValueError(f"{given} and certificate: Apple knows a provider by one of both")
        topics = self.read_certificate().topics
        if self.topic and self.topic not in topics:
            raise ValueError(f"the certificate is not for the topic {self.topic!r}; it is for {', '.join(topics)}")
        return self

    @property
    def origin(self) -> str:
        """Scheme and host of the service."""
        return self.endpoint or HOSTS[self.environment]

    @property
    def broadcast_origin(self) -> str:
        """Where Live Activities are broadcast."""
        return self.broadcast_endpoint or self.origin

    @property
    def channels_origin(self) -> str:
        """Where broadcast channels are made and listed."""
        return self.channels_endpoint or self.endpoint or CHANNEL_HOSTS[self.environment]

    def read_certificate(self) -> "PushCertificate":
        """The certificate, where there is one. Raises: ValueError."""
        from hub.platforms.apns.certificate import read_file

        assert self.certificate is not None
        password = None if self.certificate_password is None else self.certificate_password.get_secret_value()
        return read_file(self.certificate, password)

    def for_hub(self, name: str) -> Self:
        """A hub for VoIP is one whose name says so."""
        if self.push_type is None and name.lower().endswith(VOIP_HUB):
            return self.model_copy(update={"push_type": "voip"})
        return self

    @property
    def usual_fields(self) -> Mapping[str, str]:
        """See `PlatformSettings.usual_fields`."""
        return {} if self.push_type is None else {"apns-push-type": self.push_type}
