"""Durations as the configuration writes them: `30s`, `10m`, `24h`, `7d`, `1h30m`."""

import re
from datetime import timedelta

_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST = timedelta(days=36_500)


def duration(text: str) -> timedelta:
    """What a number and its unit stand for; a number alone counts seconds. Raises: ValueError."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII):
        text += "s"
    if not re.fullmatch(f"(?:{_PART})+", text, re.ASCII):
        raise ValueError("not a duration; write a number and its unit, such as 30s, 10m, 1h30m or 7d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text, re.ASCII))
    if seconds > _LONGEST.total_seconds():
        raise ValueError("longer than a hundred years")
    return timedelta(seconds=seconds)
