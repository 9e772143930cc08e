"""Payloads of MPNS (Windows Phone, "Sending push notifications")."""

import re
from typing import Final

TARGETS: Final = {"tile": "token", "toast": "toast"}
"""What `X-WindowsPhone-Target` says for each first element of a notification; a raw one has no such header."""

CLASSES: Final = {"tile": 1, "toast": 2, "raw": 3}
"""What `X-NotificationClass` says of a push that goes at once; 10 more may wait 450 seconds, 20 more 900 seconds.

Microsoft's text has 1, 2 and 3 for at once.
"""

_FIRST = re.compile(rb"<(?:\w+:)?Notification[^>]*>\s*<(?:\w+:)?(\w+)")


def kind_of(payload: bytes) -> str:
    """`tile`, `toast` or `raw`, by the first element in a notification."""
    first = _FIRST.search(payload)
    kind = first[1].decode().lower() if first else ""
    return kind if kind in TARGETS else "raw"
