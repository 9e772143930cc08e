"""Which headers a published message may carry (pure): those of a received message are data, never orders."""

from collections.abc import Mapping
from typing import Any

ORIGINAL = "original-"
"""Begins the name under which a header travels that would mean something to the broker."""

LEFT_OUT = "left-out-headers"
"""The header that names those which could not come along."""

_MAX_LIST = 2048
_FRAME = 1024  # what else is in the frame: the other properties, and the frame itself
_ENTRY = 6  # the length of a name, the type and the length of a value

# CC and BCC route copies, and a CC that is no list ends the channel; x-death makes a dead-letter cycle of the message,
# which is dropped for it; the others delay, limit, count or place it.
_ORDERS = frozenset(["cc", "bcc", "x-death", "x-delay", "x-delivery-count", "x-received-from", "x-stream-filter-value"])
_ORDER_PREFIXES = ("x-first-death-", "x-last-death-")


def carried(headers: Mapping[str, Any], *, frame_max: int) -> dict[str, Any]:
    """The headers in a form that every broker takes and none acts upon.

    AMQP has one frame for all of them, and a connection that sends a larger one is closed: of too many the largest are
    left out.
    """
    fitting = {_harmless(name): value for name, value in headers.items()}
    left_out = [name for name in fitting if not is_short(name)]
    for name in left_out:
        del fitting[name]
    room = frame_max - _FRAME - _MAX_LIST - sum(map(_size, fitting, fitting.values()))
    for name in sorted(fitting, key=lambda name: _size(name, fitting[name]), reverse=True):
        if room >= 0:
            break
        room += _size(name, fitting.pop(name))
        left_out.append(name)
    if left_out:
        fitting[LEFT_OUT] = ", ".join(left_out).encode()[:_MAX_LIST].decode(errors="ignore")
    return fitting


def is_short(text: str) -> bool:
    """Whether AMQP can write it where it wants a short string, such as a name (AMQP 0-9-1, section 4.2.5.3)."""
    return len(text.encode()) <= 255


def _harmless(name: str) -> str:
    order = name.lower() in _ORDERS or name.lower().startswith(_ORDER_PREFIXES)
    return ORIGINAL + name if order else name


def _size(name: str, value: Any) -> int:
    return _ENTRY + len(name.encode()) + len(str(value).encode())
