"""Durations written as the configuration has them: `30s`, `10m`, `24h`, `7d`, `1h30m`."""

import re
from datetime import timedelta

_UNIT_WORDS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_SIZES = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)
_NEXT_UNIT = {"d": "h", "h": "m", "m": "s", "s": "ms"}


def spelled(span: timedelta) -> str:
    """A duration as the configuration writes it, in the largest units that say it whole: `1h30m`, `1s500ms`."""
    parts = []
    for unit, size in _SIZES:
        number, span = divmod(span, size)
        if number:
            parts.append(f"{number}{unit}")
    if span:
        parts.append(f"{span / timedelta(milliseconds=1):g}ms")
    return "".join(parts) or "0s"


def nearest_duration(text: str) -> str:
    """A duration as other systems write it (`5 minutes`, `PT5M`, `1h30`, `00:05:00`), in our spelling; empty if unknown."""
    folded = text.strip().lower()
    if not folded.isascii():
        return ""
    clock = re.fullmatch(r"(\d{1,3}):([0-5]\d):([0-5]\d)", folded)
    if clock:
        return spelled(timedelta(hours=int(clock[1]), minutes=int(clock[2]), seconds=int(clock[3])))
    iso = re.fullmatch(r"p(?:(\d+)w)?(?:(\d+)d)?(?:t(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)?", folded)
    if iso and any(iso.groups()):
        weeks, days, hours, minutes, seconds = (int(number or 0) for number in iso.groups())
        return spelled(timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds))
    written, last = "", ""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)[\s,]*(?:and\s+)?", folded)
    if "".join(f"{number}{unit}" for number, unit in parts) != re.sub(r"[\s,]|\band\b", "", folded) or not parts:
        return ""
    for number, word in parts:
        unit = _UNIT_WORDS.get(word, "") if word else _NEXT_UNIT.get(last, "s")
        if not unit:
            return ""
        written += f"{int(number) * 7}d" if unit == "w" and number.isdigit() else f"{number}{unit}"
        last = unit
    return written
