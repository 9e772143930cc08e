"""What a body has to be for Push Kit, whose message is much like FCM's (Huawei, HTTPS send API)."""

from typing import Final

MAX_MESSAGE: Final = 4096
"""Bytes of the message as JSON, without tokens."""

MAX_TTL: Final = 15 * 86_400
"""Seconds that Push Kit keeps a message; unconfirmed."""

TARGETS: Final = ("token", "topic", "condition")
FIELDS: Final = ("data", "notification", "android", "apns", "webpush", *TARGETS)

START_APP: Final = 3
"""The `click_action.type` that opens the app."""


def is_huawei_text(path: tuple[str, ...]) -> bool:
    """Whether a value at a path of the payload has to be text: `data` is one, and what is shown is."""
    return path[-1:] == ("data",) or path[-2:] in (("notification", "title"), ("notification", "body"))
