"""What a body has to be for ADM (Amazon, "Send a message")."""

from typing import Final

MAX_DATA: Final = 6144
"""Bytes of `data` as JSON."""

FIELDS: Final = frozenset({"data", "consolidationKey", "expiresAfter", "md5", "priority", "notification"})
"""Members that a body may have; `priority` and `notification` are unconfirmed."""

MIN_EXPIRY, MAX_EXPIRY = 60, 31 * 86_400
"""Seconds that ADM keeps a message; a month is documented, the minute is unconfirmed."""


def is_adm_text(path: tuple[str, ...]) -> bool:
    """Whether a value at a path of the payload has to be text for ADM: `data` maps texts to texts."""
    return len(path) > 1 and path[0] == "data"
