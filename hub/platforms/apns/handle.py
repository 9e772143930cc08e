"""Push channels of APNs that are broadcast channels: `channel:ID`, with the id that Apple gave."""

import re
from typing import Final

PREFIX: Final = "channel:"

_ID = re.compile(r"[A-Za-z0-9+/_=-]{1,255}")


def is_channel_id(text: str) -> bool:
    """Whether Apple could have given such an id: base64, whose length is not fixed."""
    return _ID.fullmatch(text) is not None
