"""WNS as the rest of the house knows it (Microsoft, "Push notification service request and response headers")."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from hub.characters import escape_xml
from hub.errors import InvalidRequestError, TemplateError
from hub.notification import NativeContent, Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.soundless import Soundless, with_header
from hub.platforms.traits import Description, PayloadKind, Seen, TemplateBody, Traits, text_of
from hub.platforms.wns.advice import advise
from hub.platforms.wns.hints import HINTS
from hub.platforms.wns.payload import MAX_PAYLOAD, REPLACEABLE, TYPES, type_of
from hub.platforms.wns.settings import WnsSettings
from hub.platforms.xml_payload import xml_root

_HOST_AND_PATH = re.compile(r"([^/?#]*)([^#]*)")


class WnsTraits(Traits):
    """A push channel is a URL, kept with its host in lower case and without default port and fragment."""

    name = "wns"
    title = "WNS"
    platform = Platform.WNS
    settings = WnsSettings
    wire_format = "windows"
    counts_element = "WnsOutcomeCounts"
    descriptions = (
        Description(
            "Windows", ("ChannelUri",), ("BodyTemplate", "WnsHeaders", "TemplateName"), tile="SecondaryTileName"
        ),
    )
    payload = PayloadKind.XML
    header_prefix = "X-WNS-"
    hints = HINTS
    collapse_header = "x-wns-tag"
    shown_size = MAX_PAYLOAD
    shown_headers = {"X-WNS-Type": TYPES["toast"]}  # noqa: RUF012 - read only, as the attributes of all traits are
    sample_template = (
        '<toast><visual><binding template="ToastGeneric">'
        "<text>$(title)</text><text>$(body)</text></binding></visual></toast>"
    )

    def sender(self, settings: WnsSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.wns.sender import WnsSender

        return WnsSender(settings)

    async def look(self, settings: WnsSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`."""
        from hub.platforms.wns.sender import WnsSender

        sender = WnsSender(settings)
        try:
            return await sender.look()
        finally:
            await sender.close()

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if not text.lower().startswith("https://"):
            raise InvalidRequestError("pushChannel: a WNS channel is an https:// URL")
        host, path = _HOST_AND_PATH.match(text, len("https://")).groups()  # type: ignore[union-attr]  # it matches any text
        return f"https://{host.lower().removesuffix(':443')}{'/' if path.startswith('?') else ''}{path}"

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        return f"https://sample.notify.windows.com/w/?token={quote(device, safe='')}"

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`: a toast, whose `launch` is the link or what the app reads, as a query."""
        link = f' activationType="protocol" launch="{escape_xml(shown.deep_link)}"' if shown.deep_link else ""
        if not link and shown.for_app:
            link = f' launch="{escape_xml(urlencode(shown.for_app))}"'
        image = f'<image placement="hero" src="{escape_xml(shown.image)}"/>' if shown.image else ""
        texts = "".join(f"<text>{escape_xml(text)}</text>" for text in (shown.title, *shown.lines) if text)
        audio = '<audio silent="true"/>' if shown.sound == "none" else ""
        binding = f'<binding template="ToastGeneric">{texts}{image}</binding>'
        return f"<toast{link}><visual>{binding}</visual>{audio}</toast>".encode()

    def template_body(self, body: str, headers: Mapping[str, Any]) -> TemplateBody:
        """See `Traits.template_body`: XML, and for another type than toast, tile and badge JSON or text too.

        `X-WNS-Type` is derived from the root element when it is not given.
        """
        wns_type = next((value for name, value in headers.items() if name.lower() == "x-wns-type"), None)
        if not body.lstrip().startswith("<"):
            if wns_type is None or wns_type in TYPES.values():
                raise TemplateError(
                    "body: templates for wns are XML, or have the header X-WNS-Type: wns/raw", where="body"
                )
            return TemplateBody(text=body, kind=PayloadKind.RAW)
        root = xml_root(body)
        if wns_type is not None:
            return TemplateBody(text=body, kind=PayloadKind.XML)
        if root not in TYPES:
            raise TemplateError(
                f"header X-WNS-Type: needed for a root element {root[:60]!r}; it is derived for toast, tile and badge",
                where="header X-WNS-Type",
            )
        return TemplateBody(text=body, kind=PayloadKind.XML, headers={"X-WNS-Type": TYPES[root]})

    def native_content(self, headers: Mapping[str, str], body: bytes) -> NativeContent:
        """See `Traits.native_content`."""
        own = dict(super().native_content(headers, body).headers)
        if "x-wns-type" not in own:
            own["x-wns-type"] = _type_said(headers, body)
        elif own["x-wns-type"].strip().lower() != "wns/raw":
            xml_root(text_of(body))
        return NativeContent(platform=self.platform, payload=body, headers=own)

    def is_silent(self, fields: Mapping[str, str], payload: bytes) -> bool:
        """See `Traits.is_silent`."""
        return (fields.get("x-wns-type") or type_of(payload)).strip().lower() not in REPLACEABLE

    can_be_soundless = True

    def soundless(self, fields: Mapping[str, str], payload: bytes) -> Soundless | None:
        """See `Traits.soundless`: a toast goes to the notification centre alone; the other types make no sound."""
        lower = {name.lower(): value for name, value in fields.items()}
        if (lower.get("x-wns-type") or type_of(payload)).strip().lower() != TYPES["toast"]:
            return Soundless(fields, payload)
        return Soundless(with_header(fields, "X-WNS-SuppressPopup", "true"), payload)

    def remote_fields(self, fields: Mapping[str, str], payload: bytes) -> dict[str, str]:
        """See `Traits.remote_fields`."""
        kind = fields.get("x-wns-type") or type_of(payload)
        is_raw = kind.strip().lower() == "wns/raw"
        content_type = "application/octet-stream" if is_raw else "application/xml"
        return {**fields, "x-wns-type": kind, "content-type": content_type}

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)


def _type_said(headers: Mapping[str, str], body: bytes) -> str:
    if headers.get("content-type", "").startswith("application/octet-stream"):
        return "wns/raw"
    root = xml_root(text_of(body))
    if root not in TYPES:
        raise InvalidRequestError(f"X-WNS-Type is missing, and {root!r} is neither toast, tile nor badge")
    return TYPES[root]
