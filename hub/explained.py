"""Closed sets of names; each name has a sentence that says what it means in a log line, a metric or an answer."""

import enum
from typing import Self


class Explained(enum.Enum):
    """Members are written `NAME = "value", "What it means."`; `docs/outcomes.md` is made of them."""

    _value_: str
    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        return member

    __hash__ = object.__hash__  # members are singletons; Enum's own hash runs Python code for each look-up
