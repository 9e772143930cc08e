"""What waits in the queues."""

from enum import Enum


class Lane(Enum):
    """Single pushes and broadcasts wait in lanes of their own, so that neither delays the other."""

    SINGLE = "single"
    BROADCAST = "broadcast"

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up
