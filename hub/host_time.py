"""What another machine's clock says, by an answer of its own (RFC 9110, 6.6.1; an age of a cache by RFC 9111, 5.1)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTime:
    """By how many seconds this machine's clock is ahead of a host's; less than 0 is behind."""

    host: str
    ahead: float


def host_time(host: str, headers: Mapping[str, str], *, now: float | None = None) -> HostTime | None:
    """`headers` have lower-case names, or do not care; None where the host does not say its time. `now` is since 1970."""
    try:
        said = parsedate_to_datetime(headers["date"]).timestamp() + float(headers.get("age", 0))
    except (KeyError, ValueError, OverflowError):
        return None
    return HostTime(host=host, ahead=(time.time() if now is None else now) - said)
