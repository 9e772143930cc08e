"""What the bridge may raise, and the closed sets of names for where and why an event ended.

BridgeError                 root; nobody raises it as such
├── EventError              this message is rejected whole, for `reason`: dead-letter it and go on with the next
└── StoppingError           the process takes no other configuration any more: leave everything as it is
"""

from enum import Enum


class Reason(Enum):
    """Why a message, an event or one rule of it ended as a dead letter."""

    DECODE = "decode"  # the body is not what the source's format says
    SCHEMA = "schema"  # decoded, but not of the shape the source promises
    MAP = "map"  # a property the source's `map` needs is missing or of another kind
    NO_MATCH = "no_match"  # no rule matched, and the source's policy keeps such events
    TAG_UNSAFE = "tag_unsafe"  # a value meant for a tag holds what a tag may not hold
    RENDER = "render"  # a rule matched, but a text of it could not be filled
    HUB_REJECT = "hub_reject"  # the hub refused the notification; repeating it will not help
    EXPIRED = "expired"  # too old by the time it was its turn
    LOCK_LOST = "lock_lost"  # the broker took the message back too often before it could be settled
    TOO_LARGE = "too_large"  # a body over the source's limit
    CRASH = "crash"  # a defect of ours met it, or the process ended each time it was taken


class Stage(Enum):
    """Where on its way an event was."""

    RECEIVE = "receive"
    DECODE = "decode"
    MAP = "map"
    RULE = "rule"
    HUB = "hub"


class BridgeError(Exception):
    """Root of everything the bridge raises on purpose."""


class EventError(BridgeError):
    """A message is rejected whole; `detail` is for people and names positions and kinds, never values of the event."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class StoppingError(BridgeError):
    """The process is on its way out."""
