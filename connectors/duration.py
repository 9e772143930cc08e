"""Durations in settings: seconds as a number, or text with a unit as in `30s`, `500ms`, `1h30m`.

The configuration reads its own durations with this, and gives `seconds_in` to the rules.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"


def seconds(value: object) -> object:
    """The seconds that a text with units stands for; anything but text is left to the field's own check.

    Raises: ValueError for text that is no duration.
    """
    return seconds_in(value) if isinstance(value, str) else value


def seconds_in(text: str) -> float:
    """The seconds that numbers with units stand for; a number alone is no duration. Raises: ValueError."""
    if not re.fullmatch(f"(?:{_PART})+", text, re.ASCII):
        raise ValueError("not a duration; write seconds as a number, or text such as 500ms, 30s, 10m, 1h30m, 7d")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text, re.ASCII))


Duration = Annotated[float, BeforeValidator(seconds)]
"""A field in seconds; bound it with `Field(gt=0)` where zero makes no sense."""
