"""APNs as the rest of the house knows it (Apple, "Sending notification requests to APNs")."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from hub.errors import InvalidRequestError
from hub.notification import NativeContent, Platform
from hub.platforms.apns.hints import HINTS
from hub.platforms.apns.settings import ApnsSettings
from hub.platforms.traits import Traits

MAX_PAYLOAD: Final = 4096  # bytes
MAX_VOIP_PAYLOAD: Final = 5120

TOPIC_SUFFIXES: Final[Mapping[str, str]] = {
    "voip": ".voip",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
}
"""What `apns-push-type` puts behind the bundle id in `apns-topic`; types not named put nothing."""

_SHOWN: Final = {"alert", "badge", "sound"}
_TOKEN: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def is_silent(payload: bytes) -> bool:
    """Whether a payload wakes the app without showing anything: it is to go as a background push."""
    if b'"content-available"' not in payload:
        return False
    try:
        parsed = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    aps = parsed.get("aps") if isinstance(parsed, dict) else None
    return isinstance(aps, dict) and aps.get("content-available") == 1 and aps.keys().isdisjoint(_SHOWN)


class ApnsTraits(Traits):
    """A push channel is a device token in upper-case hex."""

    name = "apns"
    title = "APNs"
    platform = Platform.APNS
    settings = ApnsSettings
    wire_format = "apple"
    counts_element = "ApnsOutcomeCounts"
    header_prefix = "apns-"
    has_expiry = True
    hints = HINTS

    def push_channel(self, text: str) -> str:
        """See `Traits.push_channel`."""
        if not _TOKEN.fullmatch(text):
            raise InvalidRequestError("pushChannel: an APNs device token is an even number of hex digits")
        return text.upper()

    def native_content(self, headers: Mapping[str, str], body: bytes) -> NativeContent:
        """See `Traits.native_content`; one SDK writes a priority of Apple's in a header of its own name."""
        content = super().native_content(headers, body)
        if "x-apns-priority" not in headers:
            return content
        own = {"apns-priority": headers["x-apns-priority"], **content.headers}
        return NativeContent(platform=self.platform, payload=body, headers=own)
