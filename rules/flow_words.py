"""The words of flow control that a configuration writes."""

from enum import Enum


class OnExcess(Enum):
    """What becomes of events above `throttle.max`."""

    DROP = "drop"
    DIGEST = "digest"


class Order(Enum):
    """In which order notifications of a rule start."""

    NONE = "none"
    KEY = "key"
