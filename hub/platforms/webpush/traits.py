"""Web Push as the rest of the house knows it (W3C Push API; RFC 8030)."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from hub.identity import digest_of
from hub.notification import Platform
from hub.platforms.advice import Complaints, Written
from hub.platforms.base import Sender
from hub.platforms.shown import Shown
from hub.platforms.soundless import Soundless, changed, with_header
from hub.platforms.traits import Description, Seen, Traits
from hub.platforms.webpush.advice import advise
from hub.platforms.webpush.hints import HINTS
from hub.platforms.webpush.payload import is_silent, silence
from hub.platforms.webpush.settings import WebPushSettings
from hub.platforms.webpush.sizes import MAX_MESSAGE
from hub.platforms.webpush.subscription import joined, push_channel_of

_SAMPLE_POINT: Final = (
    "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"  # the base point of P-256
)


class WebPushTraits(Traits):
    """A push channel is a JSON object of endpoint and keys (W3C Push API, `PushSubscription`)."""

    name = "webpush"
    title = "Web Push"
    platform = Platform.BROWSER
    settings = WebPushSettings
    wire_format = "browser"
    counts_element = "BrowserOutcomeCounts"
    descriptions = (Description("Browser", ("Endpoint", "P256DH", "Auth")),)
    header_names = ("TTL", "Urgency", "Topic")
    hints = HINTS
    collapse_header = "topic"
    shown_size = MAX_MESSAGE - 200
    data_path = ("notification", "data")
    sample_template = '{"notification":{"title":"$(title)","body":"$(body)"}}'

    def sender(self, settings: WebPushSettings) -> Sender:
        """See `Traits.sender`."""
        from hub.platforms.webpush.sender import WebPushSender

        return WebPushSender(settings)

    async def look(self, settings: WebPushSettings, *, push_channel: str = "") -> Sequence[Seen]:
        """See `Traits.look`: what the page subscribes with, which no service has to be asked for."""
        from hub.platforms.webpush.vapid import VapidKey

        return [Seen(text=f"applicationServerKey of the page: {VapidKey(settings.key.get_secret_value()).public}")]

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        return push_channel_of(text)

    def joined_handles(self, handles: Sequence[str]) -> str:
        """See `Traits.joined_handles`."""
        return joined(*handles)

    def split_handles(self, push_channel: str) -> Sequence[str]:
        """See `Traits.split_handles`."""
        return list(orjson.loads(push_channel).values())

    def sample_push_channel(self, device: str) -> str:
        """See `Traits.sample_push_channel`."""
        digest = digest_of(device)
        auth = base64.urlsafe_b64encode(digest[:16]).decode()
        return joined(f"https://sample.push.example/{digest.hex()}", _SAMPLE_POINT, auth)

    can_be_soundless = True

    def soundless(self, fields: Mapping[str, str], payload: bytes) -> Soundless | None:
        """See `Traits.soundless` (Notifications API, `silent`); a service worker decides what it makes of its own JSON."""
        return Soundless(with_header(fields, "Urgency", "low"), changed(payload, silence))

    def shown_payload(self, shown: Shown) -> bytes:
        """See `Traits.shown_payload`: a notification without a title would show nothing."""
        is_page = shown.deep_link.startswith(("https://", "http://"))
        said = {
            "title": shown.title or shown.text,
            "body": shown.text,
            "navigate": shown.deep_link if is_page else "",
            "lang": shown.locale,
            "image": shown.image,
        }
        notification: dict[str, Any] = {name: text for name, text in said.items() if text}
        return orjson.dumps(
            {"notification": {**notification, "silent": True} if shown.sound == "none" else notification}
        )

    def is_silent(self, fields: Mapping[str, str], payload: bytes) -> bool:
        """See `Traits.is_silent`."""
        return is_silent(payload)

    def advise(self, payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
        """See `Traits.advise`."""
        advise(payload, headers, complaints)
