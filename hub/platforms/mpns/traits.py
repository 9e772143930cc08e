"""MPNS as the rest of the house knows it (Windows Phone, "Sending push notifications")."""

from collections.abc import Mapping
from typing import Any, Final

from hub.characters import escape_xml
from hub.errors import InvalidRequestError
from hub.notification import Platform
from hub.platforms.base import Sender
from hub.platforms.mpns.payload import CLASSES, TARGETS
from hub.platforms.mpns.settings import MpnsSettings
from hub.platforms.shown import Shown
from hub.platforms.traits import Description, PayloadKind, TemplateBody, Traits
from hub.platforms.xml_payload import local_name, parsed

_OF_THE_CONTRACT: Final = "x-ms-"


class MpnsTraits(Traits):
    """Windows Phone: a push channel is a URL."""

    name = "mpns"
    title = "MPNS"
    platform = Platform("mpns")
    settings = MpnsSettings
    is_rare = True
    retired = "Microsoft has retired MPNS, the service of Windows Phone 7 and 8"
    wire_format = "windowsphone"
    counts_element = "MpnsOutcomeCounts"
    descriptions = (
        Description("Mpns", ("ChannelUri",), ("BodyTemplate", "MpnsHeaders", "TemplateName"), tile="SecondaryTileName"),
    )
    payload = PayloadKind.XML
    header_prefix = "X-"
    shown_size = 3072
    shown_headers = {  # noqa: RUF012 - read only, as the attributes of all traits are
        "X-WindowsPhone-Target": TARGETS["toast"],
        "X-NotificationClass": str(CLASSES["toast"]),
    }
    sample_template = (
        '<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>$(title)</wp:Text1>'
        "<wp:Text2>$(body)</wp:Text2></wp:Toast></wp:Notification>"
    )

    def sender(self, settings: MpnsSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.mpns.sender import MpnsSender

        return MpnsSender(settings)

    def takes_header(self, name: str) -> bool:
        """See `Traits.takes_header`; names that begin with x-ms- are those of the wire contract itself."""
        return super().takes_header(name) and not name.lower().startswith(_OF_THE_CONTRACT)

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if not text.lower().startswith(("http://", "https://")):
            raise InvalidRequestError("pushChannel: an MPNS channel is a URL")
        return text

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        return f"https://sample.notify.live.net/{device}"

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        texts = f"<wp:Text1>{escape_xml(shown.title)}</wp:Text1><wp:Text2>{escape_xml(shown.text)}</wp:Text2>"
        toast = f"<wp:Toast>{texts}</wp:Toast>"
        return f'<wp:Notification xmlns:wp="WPNotification">{toast}</wp:Notification>'.encode()

    def template_body(self, body: str, headers: Mapping[str, Any]) -> TemplateBody:
        """See `Traits.template_body`; target and class follow from what the notification holds."""
        first = next(iter(parsed(body)), None)
        kind = "" if first is None else local_name(first).lower()
        derived = (
            {"X-WindowsPhone-Target": TARGETS[kind], "X-NotificationClass": str(CLASSES[kind])}
            if kind in TARGETS
            else {}
        )
        given = {name.lower() for name in headers}
        missing = {name: value for name, value in derived.items() if name.lower() not in given}
        return TemplateBody(text=body, kind=PayloadKind.XML, headers=missing)
