"""Closed sets of names; each name has a sentence that says what it means in a log line, a metric or an answer."""

import enum
from operator import attrgetter
from typing import TYPE_CHECKING, Self


class Explained(enum.Enum):
    """Members are written `NAME = "value", "What it means."`; `docs/outcomes.md` is made of them."""

    _value_: str
    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member

    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))  # Enum's own runs Python code, and so does its hash

    __hash__ = object.__hash__  # members are singletons
