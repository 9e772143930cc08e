"""When a notification is worth delivering no longer."""

from datetime import datetime, timedelta
from enum import Enum

from rules.errors import TooLateError


class TtlFrom(Enum):
    """Where a time to live begins: when the event is accepted, or at the event's own time."""

    NOW = "now"
    TIME = "time"


def expires_at(ttl: timedelta | None, begins: TtlFrom, *, time: datetime, now: datetime) -> datetime | None:
    """The end of a time to live; None where there is none. `time` is that of the event, which may be ahead of `now`.

    Raises: TooLateError: the end has passed.
    """
    if ttl is None:
        return None
    if begins is TtlFrom.NOW:
        return now + ttl
    end = min(time, now) + ttl  # a sender's clock may be ahead of this one
    if end <= now:
        late = int((now - time).total_seconds())
        raise TooLateError(f"the event came {late} s after its time, and ttl is {ttl.total_seconds():g} s")
    return end
