"""What a look at a store finds, for people who have to mend it."""

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `cure` says what to do about it, empty where nothing is to be done."""

    name: str
    health: Health
    text: str
    cure: str = ""
