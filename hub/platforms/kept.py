"""Platforms of the wire contract that have no sender: their phones are registered, listed and found.

A send to such a phone ends as one to a platform for which the hub has no credential.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hub.errors import InvalidRequestError
from hub.notification import Platform
from hub.platforms.traits import Description, PayloadKind, TemplateBody, Traits
from hub.platforms.xml_payload import local_name, parsed


class MpnsTraits(Traits):
    """Windows Phone: a push channel is a URL."""

    name, title, platform = "mpns", "MPNS", Platform("mpns")
    wire_format = "windowsphone"
    counts_element = "MpnsOutcomeCounts"
    descriptions = (
        Description("Mpns", ("ChannelUri",), ("BodyTemplate", "MpnsHeaders", "TemplateName"), tile="SecondaryTileName"),
    )
    payload = PayloadKind.XML
    header_prefix = "X-"
    sample_template = (
        '<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>$(title)</wp:Text1>'
        "<wp:Text2>$(body)</wp:Text2></wp:Toast></wp:Notification>"
    )

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if not text.lower().startswith(("http://", "https://")):
            raise InvalidRequestError("pushChannel: an MPNS channel is a URL")
        return text

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        return f"https://sample.notify.live.net/{device}"

    def template_body(self, body: str, headers: Mapping[str, Any]) -> TemplateBody:
        """See `Traits.template_body`; target and class follow from what the notification holds."""
        first = next(iter(parsed(body)), None)
        kind = "" if first is None else local_name(first).lower()
        derived = _MPNS_HEADERS.get(kind, {})
        given = {name.lower() for name in headers}
        missing = {name: value for name, value in derived.items() if name.lower() not in given}
        return TemplateBody(text=body, kind=PayloadKind.XML, headers=missing)


_MPNS_HEADERS: Mapping[str, Mapping[str, str]] = {
    "tile": {"X-WindowsPhone-Target": "token", "X-NotificationClass": "1"},
    "toast": {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"},
}
"""By the first element in a notification (Windows Phone, "Sending push notifications")."""


class AdmTraits(Traits):
    """Amazon's devices."""

    name, title, platform = "adm", "ADM", Platform("adm")
    wire_format = "adm"
    counts_element = "AdmOutcomeCounts"
    descriptions = (Description("Adm", ("AdmRegistrationId",)),)


class BaiduTraits(Traits):
    """A push channel is `USER-CHANNEL`."""

    name, title, platform = "baidu", "Baidu", Platform("baidu")
    wire_format = "baidu"
    counts_element = "BaiduOutcomeCounts"
    descriptions = (
        Description("Baidu", ("BaiduUserId", "BaiduChannelId"), ("BodyTemplate", "TemplateName", "MessageType")),
    )
    header_prefix = "X-Baidu-"

    def joined_handles(self, handles: Sequence[str]) -> str:
        """See `Traits.joined_handles`."""
        user, channel = handles
        return f"{user}-{channel}"

    def split_handles(self, push_channel: str) -> Sequence[str]:
        """See `Traits.split_handles`; a user's id has no hyphen."""
        user, _, channel = push_channel.partition("-")
        return user, channel


class XiaomiTraits(Traits):
    """Xiaomi's devices."""

    name, title, platform = "xiaomi", "Xiaomi", Platform("xiaomi")
    wire_format = "xiaomi"
    counts_element = "XiaomiOutcomeCounts"
    descriptions = (Description("Xiaomi", ("XiaomiRegistrationId",)),)


class NokiaTraits(Traits):
    """Nokia X, which very old builds of apps register."""

    name, title, platform = "nokiax", "Nokia X", Platform("nokiax")
    wire_format = "nokiax"
    descriptions = (Description("NokiaX", ("NokiaXRegistrationId",)),)


KEPT: Sequence[Traits] = (
    MpnsTraits(),
    AdmTraits(),
    BaiduTraits(),
    XiaomiTraits(),
    NokiaTraits(),
)
