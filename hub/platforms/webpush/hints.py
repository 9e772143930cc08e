"""Headers of Web Push that are hints, made to fit (RFC 8030, section 5)."""

import re
from functools import lru_cache
from typing import Final

from hub.platforms.hints import Hints, bounded, fitted_key, one_of

MAX_TTL: Final = 2_419_200  # seconds; 28 days, the least of what browsers' services keep a message for
MAX_TOPIC: Final = 32  # characters of base64url
URGENCIES: Final = ("very-low", "low", "normal", "high")

_TOPIC = re.compile(r"[A-Za-z0-9_-]+")


@lru_cache(maxsize=1024)  # a page has one, and hashing costs more than looking it up
def topic(key: str | None) -> str | None:
    """As `collapse_id`, for `Topic`: up to 32 characters of base64url."""
    return fitted_key(key, _TOPIC, MAX_TOPIC)


def _ttl(text: str) -> str | None:
    return str(bounded(text, MAX_TTL)) if text.isascii() and text.isdigit() else None


HINTS: Final[Hints] = {"ttl": _ttl, "urgency": one_of(*URGENCIES), "topic": topic}
