"""What a hub has to know to push to browsers: a key pair of its own, and whom a push service may write to about it."""

import re
from typing import Annotated

from pydantic import AfterValidator, IPvAnyNetwork, SecretStr

from hub.addresses import PublicAddresses
from hub.egress import NoProxy
from hub.platforms.settings import PlatformSettings, Secret


def _signing_key(key: SecretStr) -> SecretStr:
    from hub.platforms.webpush.vapid import VapidKey  # needs cryptography, as the sender will

    VapidKey(key.get_secret_value())
    return key


def _subject(text: str) -> str:
    if not re.fullmatch(r"mailto:[^\s@<>]+@[^\s@<>]+|https://[^\s/?#@]+([/?#]\S*)?", text):
        raise ValueError("expected mailto:NAME@HOST, or https:// and a page with a contact")
    return text


def _page(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+([/?#]\S*)?", url):
        raise ValueError("not the address of a page; write https://HOST/PATH")
    return url


class WebPushSettings(PlatformSettings):
    """Web Push with VAPID; `key` is the private key whose public half the site subscribes with.

    A browser's endpoint may be at any host, so that an app that UnifiedPush wakes is a browser too: `allowed_endpoints`
    names the hosts where that is not wanted. Private addresses are refused whatever names lead to them.
    """

    key: Annotated[Secret, AfterValidator(_signing_key)]
    """The private key on P-256 that subscriptions are made for: PEM, or its 32 bytes in base64url."""
    subject: Annotated[str, AfterValidator(_subject)]
    """Whom a push service may write to about these pushes: mailto:NAME@HOST, or an https:// page."""
    allowed_endpoints: NoProxy = ()
    """Hosts that endpoints may be at, each with all below it; every public host unless set."""
    private_networks: tuple[IPvAnyNetwork, ...] = ()
    """Private addresses and networks that endpoints may be at all the same, such as that of a push service of one's own."""
    declarative: bool = True
    """Whether a message with a title is made one that browsers show by themselves; service workers read it as before."""
    navigate: Annotated[str, AfterValidator(_page)] | None = None
    """The page that a click opens where the payload names none; without one such a message is not declarative."""

    @property
    def addresses(self) -> PublicAddresses:
        """Where connections may go."""
        return PublicAddresses(tuple(self.private_networks))
