"""What the bridge may raise; `Reason` and `Stage` are the hub's words, which a dead letter is written in.

BridgeError                 root; never raised as such
├── EventError              this message is rejected whole, for `reason`: dead-letter it and go on with the next
└── StoppingError           the process takes no other configuration any more: leave everything as it is
"""

from hub.acceptance import Reason as Reason
from hub.acceptance import Stage as Stage


class BridgeError(Exception):
    """Root of everything the bridge raises on purpose."""


class EventError(BridgeError):
    """A message is rejected whole; `detail` is for people and names positions and kinds, never values of the event.

    `person` is whom the message is about, empty where that is not known.
    """

    def __init__(self, reason: Reason, detail: str, *, person: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
        self.person = person


class StoppingError(BridgeError):
    """The process is on its way out."""
