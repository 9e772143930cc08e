"""ISO 8601 durations and instants as the administration interface writes them."""

import re
from datetime import UTC, datetime

from sandbox.servicebus.errors import InvalidEntityError

FOR_EVER = "P10675199DT2H48M5.4775807S"
"""The longest duration that .NET has; everything from there on is no limit."""

_FOR_EVER = 922_337_203_685_477
_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_UNITS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def read_duration(text: str) -> int | None:
    """Milliseconds, None for "for ever".

    Raises: InvalidEntityError: the text is no duration of days and time.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groupdict().values()):
        raise InvalidEntityError(f"{text[:60]!r} is no duration; write it like PT30S or P14D")
    total = round(sum(float(match[name] or 0) * unit for name, unit in _UNITS.items()))
    return None if total >= _FOR_EVER else total


def write_duration(milliseconds: int | None) -> str:
    """The shortest form, None being "for ever"."""
    if milliseconds is None:
        return FOR_EVER
    seconds, rest = divmod(milliseconds, 1000)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    fraction = f".{rest:03d}" if rest else ""
    return f"P{days}DT{hours}H{minutes}M{seconds}{fraction}S"


def write_instant(milliseconds: int) -> str:
    """An instant in milliseconds since 1970, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
