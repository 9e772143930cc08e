"""APNs as the rest of the house knows it (Apple, "Sending notification requests to APNs")."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from hub.errors import InvalidRequestError
from hub.identity import digest_of
from hub.notification import NativeContent, Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.apns.advice import advise
from hub.platforms.apns.handle import PREFIX, is_channel_id
from hub.platforms.apns.hints import HINTS
from hub.platforms.apns.payload import ALERT, MAX_PAYLOAD, RINGING, push_type_of
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.soundless import Soundless, changed, silence_aps
from hub.platforms.traits import BroadcastChannels, Description, Seen, Traits

_TOKEN: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class ApnsTraits(Traits):
    """A push channel is a device token in upper-case hex, or a broadcast channel, `channel:ID`."""

    name = "apns"
    title = "APNs"
    platform = Platform.APNS
    settings = ApnsSettings
    wire_format = "apple"
    counts_element = "ApnsOutcomeCounts"
    descriptions = (
        Description("Apple", ("DeviceToken",), ("BodyTemplate", "Expiry", "TemplateName", "Priority", "ApnsHeaders")),
    )
    header_prefix = "apns-"
    hints = HINTS
    expiry_header = "apns-expiration"
    collapse_header = "apns-collapse-id"
    shown_size = MAX_PAYLOAD
    sample_template = '{"aps":{"alert":{"title":"$(title)","body":"$(body)"}}}'

    def sender(self, settings: ApnsSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.apns.sender import ApnsCertificateSender, ApnsSender

        return ApnsSender(settings) if settings.certificate is None else ApnsCertificateSender(settings)

    def broadcast_channels(self, settings: ApnsSettings) -> BroadcastChannels:
        """See `Traits.broadcast_channels`."""
        from hub.platforms.apns.channels import ApnsChannels

        return ApnsChannels(settings)

    def expires_at(self, settings: ApnsSettings) -> datetime | None:
        """See `Traits.expires_at`."""
        return None if settings.certificate is None else settings.read_certificate().expires_at

    async def look(self, settings: ApnsSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`."""
        from hub.platforms.apns.looking import look

        seen = []
        if settings.certificate is not None:
            read = settings.read_certificate()
            text = f"certificate for {', '.join(read.topics)}, until {read.expires_at:%Y-%m-%d}"
            is_over = read.is_expired(time.time())
            seen.append(
                Seen(text=text, cure="it has expired: make a new one in Apple's developer account" if is_over else "")
            )
            if is_over:
                return seen
        return [*seen, await look(self.sender(settings), settings.origin)]

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`."""
        alert = {"title": shown.title, "subtitle": shown.subtitle, "body": shown.body}
        aps: dict[str, Any] = {"alert": {name: text for name, text in alert.items() if text}}
        if shown.sound != "none":
            aps["sound"] = shown.sound or "default"
        if shown.category:
            aps["category"] = shown.category
        if not shown.image:
            return orjson.dumps({"aps": aps})
        return orjson.dumps({"aps": {**aps, "mutable-content": 1}, "image": shown.image})

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if text.startswith(PREFIX):
            if not is_channel_id(text.removeprefix(PREFIX)):
                raise InvalidRequestError("pushChannel: a broadcast channel is channel:ID, with the id that Apple gave")
            return text
        if not _TOKEN.fullmatch(text):
            raise InvalidRequestError("pushChannel: an APNs device token is an even number of hex digits")
        return text.upper()

    def is_broadcast(self, push_channel: str) -> bool:
        """See `Traits.is_broadcast`."""
        return push_channel.startswith(PREFIX)

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        return 2 * digest_of(device).hex().upper()  # 32 bytes, as most tokens

    def native_content(self, headers: Mapping[str, str], body: bytes) -> NativeContent:
        """See `Traits.native_content`; one SDK writes a priority of Apple's in a header of its own name."""
        content = super().native_content(headers, body)
        if "x-apns-priority" not in headers:
            return content
        own = {"apns-priority": headers["x-apns-priority"], **content.headers}
        return NativeContent(platform=self.platform, payload=body, headers=own)

    can_be_soundless = True

    def soundless(self, fields: Mapping[str, str], payload: bytes) -> Soundless | None:
        """See `Traits.soundless`: a call rings, or Apple ends the app."""
        lower = {name.lower(): value for name, value in fields.items()}
        if push_type_of(lower, payload) in RINGING:
            return None
        return Soundless(fields, changed(payload, silence_aps))

    def is_silent(self, fields: Mapping[str, str], payload: bytes) -> bool:
        """See `Traits.is_silent`; of all push types, only alerts show something that can be replaced."""
        return push_type_of(fields, payload) != ALERT

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
