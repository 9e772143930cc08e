"""Topics that a user of a phone switches on and off, and the levels that some of them have.

A phone that is subscribed to a topic carries the tag `topic:NAME`. Of a topic with levels, such as amounts, it carries
`topic:NAME:LEVEL` as well, for the level from which on its user wants to hear of it. An audience for an amount is all whose
level is at or below it.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_LEVELS: Final = 20

Levels = Sequence[Decimal]
"""From the lowest to the highest; empty for a topic that has none."""

_PREFIX: Final = "topic:"
_MOST_DIGITS: Final = 15


def topic_tag(name: str, level: Decimal | None = None) -> str:
    return f"{_PREFIX}{name}" if level is None else f"{_PREFIX}{name}:{level_text(level)}"


def topic_of(tag: str, topics: Mapping[str, Levels]) -> str | None:
    """The topic, of those that are configured, whose tag without a level this is; tags compare without case."""
    folded = tag.casefold()
    return next((name for name in topics if topic_tag(name).casefold() == folded), None)


def level_text(level: Decimal) -> str:
    """A level as tags spell it: digits, without zeros at the end of a fraction."""
    text = f"{level:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def level_of(value: object) -> Decimal | None:
    """A level, or an amount, of a number or its text; None: it is no number, below zero, or of too many digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not number.is_finite() or number < 0 or len(number.as_tuple().digits) > _MOST_DIGITS:
        return None
    return number if abs(number.adjusted()) <= _MOST_DIGITS else None


def level_in_force(level: Decimal, levels: Levels) -> Decimal:
    """What a level that was chosen is among those of now: itself, else the next higher one, else the highest."""
    return next((each for each in levels if each >= level), levels[-1])
