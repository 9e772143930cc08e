"""Payloads of WNS: how large they may be, and what type they are of."""

import re
from typing import Final

MAX_PAYLOAD: Final = 5000  # bytes

TYPES: Final = {"toast": "wns/toast", "tile": "wns/tile", "badge": "wns/badge"}
"""What `X-WNS-Type` says for each root element."""

REPLACEABLE: Final = frozenset({TYPES["toast"], TYPES["tile"]})
"""Types of which a later push with the same tag replaces an earlier one; a badge replaces the one before anyhow."""

_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(toast|tile|badge)[\s/>]", re.DOTALL)


def type_of(payload: bytes) -> str:
    """What `X-WNS-Type` has to say of a payload: raw unless its root element is toast, tile or badge."""
    root = _ROOT.match(payload)
    return f"wns/{root[1].decode()}" if root else "wns/raw"
