"""Payloads of APNs: how large they may be, and how what is in them goes (Apple, "Generating a remote notification")."""

from collections.abc import Mapping
from typing import Final

import orjson

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

ALERT: Final = "alert"
BACKGROUND: Final = "background"

RINGING: Final = frozenset({"voip", "pushtotalk"})
"""Push types that an app has to answer with a call or with sound."""

SHOWN: Final = frozenset({"alert", "badge", "sound"})
"""Keys of `aps` that a phone shows or plays."""


def push_type_of(fields: Mapping[str, str], payload: bytes, *, usual: str | None = None) -> str:
    """What `apns-push-type` says, or has to say where it is not given: the `usual` one, else what the payload is."""
    return fields.get("apns-push-type") or usual or (BACKGROUND if is_silent(payload) else ALERT)


def is_silent(payload: bytes) -> bool:
    """Whether a payload wakes the app without showing anything: it is to go as a background push."""
    if b'"content-available"' not in payload:
        return False
    try:
        parsed = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    aps = parsed.get("aps") if isinstance(parsed, dict) else None
    return isinstance(aps, dict) and aps.get("content-available") == 1 and aps.keys().isdisjoint(SHOWN)
