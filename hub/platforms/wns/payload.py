"""Payloads and push channels of WNS: the limit, the types, and the hosts that a channel may name."""

import re
from collections.abc import Sequence
from typing import Final

MAX_PAYLOAD: Final = 5000  # bytes

TYPES: Final = {"toast": "wns/toast", "tile": "wns/tile", "badge": "wns/badge"}
"""What `X-WNS-Type` says for each root element."""

_CHANNEL = re.compile(r"https://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?][!-~]*)?")
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(toast|tile|badge)[\s/>]", re.DOTALL)


def is_allowed(channel: str, allowed_hosts: Sequence[str]) -> bool:
    """Whether a channel is an https URI at one of these hosts; in doubt it is not (no user, no odd characters)."""
    match = _CHANNEL.fullmatch(channel)
    if match is None:
        return False
    host = match[1].lower()
    return any(host.endswith(one) if one.startswith(".") else host == one for one in map(str.lower, allowed_hosts))


def type_of(payload: bytes) -> str:
    """What `X-WNS-Type` has to say of a payload: raw unless its root element is toast, tile or badge."""
    root = _ROOT.match(payload)
    return f"wns/{root[1].decode()}" if root else "wns/raw"
