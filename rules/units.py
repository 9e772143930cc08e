"""Durations and sizes as the configuration writes them: `30s`, `10m`, `24h`, `7d`; `512KiB`, `1MiB`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|kB|MB|GB)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MAX_DAYS = 36_500


def duration(text: str) -> timedelta:
    """One number with its unit; a bare number is refused, for nobody can see its unit. Raises: ValueError."""
    parsed = _DURATION.fullmatch(text.strip())
    if parsed is None:
        raise ValueError("not a duration; write a number and its unit, such as 500ms, 30s, 10m, 24h or 7d")
    seconds = float(parsed[1]) * _SECONDS[parsed[2]]
    if seconds > _MAX_DAYS * 86_400:
        raise ValueError("longer than a hundred years")
    return timedelta(seconds=seconds)


def size(text: str) -> int:
    """Bytes; KiB are 1024 of them and kB 1000, as IEC 80000-13 has it. Raises: ValueError."""
    parsed = _SIZE.fullmatch(text.strip())
    if parsed is None:
        raise ValueError("not a size; write a number and its unit, such as 512KiB or 1MiB")
    return int(parsed[1]) * _BYTES[parsed[2] or "B"]
