"""What answers mean: the words that the tables of all services have in common."""

from collections.abc import Mapping
from typing import Final

from hub.outcome import OutcomeName, Reaction
from hub.push import SendResult

Meaning = tuple[Reaction, OutcomeName]
"""What the engine does after an answer, and the name under which it is counted."""

BAD_CHANNEL: Final = (Reaction.GONE, OutcomeName.BAD_CHANNEL)
EXPIRED_CHANNEL: Final = (Reaction.GONE, OutcomeName.EXPIRED_CHANNEL)
WRONG_CHANNEL: Final = (Reaction.GONE, OutcomeName.WRONG_CHANNEL)
FORMAT: Final = (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_FORMAT)
SIZE: Final = (Reaction.DROP, OutcomeName.INVALID_NOTIFICATION_SIZE)
OUR_BUG: Final = (Reaction.DROP, OutcomeName.PNS_INTERFACE_ERROR)
CREDENTIALS: Final = (Reaction.CONFIG, OutcomeName.INVALID_CREDENTIALS)
STALE_TOKEN: Final = (Reaction.CONFIG, OutcomeName.INVALID_TOKEN)
WRONG_TOKEN: Final = (Reaction.CONFIG, OutcomeName.WRONG_TOKEN)
THROTTLED: Final = (Reaction.THROTTLED, OutcomeName.THROTTLED)
CHANNEL_THROTTLED: Final = (Reaction.THROTTLED, OutcomeName.CHANNEL_THROTTLED)
SERVER_ERROR: Final = (Reaction.RETRY, OutcomeName.PNS_SERVER_ERROR)
UNAVAILABLE: Final = (Reaction.RETRY, OutcomeName.PNS_UNAVAILABLE)
UNREACHABLE: Final = (Reaction.RETRY, OutcomeName.PNS_UNREACHABLE)
UNKNOWN: Final = (Reaction.RETRY, OutcomeName.UNKNOWN_ERROR)

BY_STATUS: Final[Mapping[int, Meaning]] = {
    400: FORMAT,
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: OUR_BUG,
    405: OUR_BUG,
    413: SIZE,
    429: THROTTLED,
    500: SERVER_ERROR,
    502: SERVER_ERROR,
    503: UNAVAILABLE,
    504: SERVER_ERROR,
}
"""What a status means (RFC 9110) where a service gives no reason of its own, and its documents say nothing else."""

INTERFACE: Final = SendResult(
    reaction=Reaction.RETRY, outcome=OutcomeName.PNS_INTERFACE_ERROR, reason="not an answer of this push service"
)
"""A success that no such service says so: something else answered, and may for a while only."""
