"""Windows: named times of the day by which notifications are held, such as the night, on the clock of a time zone.

What counts is what a clock on the wall shows: a moment is inside a window whenever the clock of the zone shows a time of
the window. So where clocks leap over a time, nothing of a window is there that lies in the leap; and of an hour that comes
twice, both are inside.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from hub.frozen import frozen_dataclass

DAY = 24 * 60
"""Minutes; a window may end with the day, at 24:00."""

_AHEAD = 400
"""Days that are looked at for the end of what is inside, or outside, of a window."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`times` are (begin, end) in minutes of the day; where an end is not after its begin, it is of the next day.

    `days` are the weekdays on which one of `times` may begin, Monday is 0, and on the dates of `except_` none begins.
    `zone` is the name of a time zone, empty for that of each phone.
    """

    name: str
    times: tuple[tuple[int, int], ...]
    days: frozenset[int] = frozenset(range(7))
    zone: str = ""
    except_: frozenset[date] = frozenset()

    def contains(self, at: datetime) -> bool:
        """Whether a clock that shows `at` shows a time of the window; of `at` no zone is looked at."""
        minute, day = at.hour * 60 + at.minute, at.date()
        for begin, end in self.times:
            if begin < end:
                if begin <= minute < end and self._begins_on(day):
                    return True
            elif (minute >= begin and self._begins_on(day)) or (minute < end and self._began_before(day)):
                return True
        return False

    def _begins_on(self, day: date) -> bool:
        return day.weekday() in self.days and day not in self.except_

    def _began_before(self, day: date) -> bool:
        return day > date.min and self._begins_on(day - timedelta(days=1))

    @property
    def never_ends(self) -> bool:
        """Whether each moment is inside, or none is."""
        return change_after(self, "UTC", datetime(2024, 1, 1, tzinfo=UTC)) is None


def change_after(window: Window, zone: str, at: datetime) -> datetime | None:
    """The first moment after `at`, in UTC, at which a clock of the zone leaves the window, or where it is outside enters
    it; None where neither happens within a year."""
    clock = zone_named(zone)
    before = at
    was_inside = window.contains(at.astimezone(clock))
    for moment in _moments(window, clock, at):
        for one in (*_leap_between(clock, before, moment), moment):
            if window.contains(one.astimezone(clock)) is not was_inside:
                return one
        before = moment
    return None


def _moments(window: Window, clock: ZoneInfo, at: datetime) -> Iterator[datetime]:
    """The moments after `at`, rising, at which a clock may show a begin or an end, midnights included."""
    minutes = sorted({0, *(minute % DAY for pair in window.times for minute in pair)})
    first = at.astimezone(clock).date()
    for offset in range(-1, _AHEAD):
        try:
            day = first + timedelta(days=offset)
            shown = [datetime(day.year, day.month, day.day, *divmod(minute, 60)) for minute in minutes]
            found = {each.replace(tzinfo=clock, fold=fold).astimezone(UTC) for each in shown for fold in (0, 1)}
        except OverflowError:  # the first or the last year
            continue
        yield from sorted(moment for moment in found if moment > at)


def _leap_between(clock: ZoneInfo, before: datetime, after: datetime) -> tuple[datetime, ...]:
    """The moment at which the clock is set between two, if it is; to the second."""
    offset = before.astimezone(clock).utcoffset()
    if after <= before or after.astimezone(clock).utcoffset() == offset:
        return ()
    low, high = before, after
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(clock).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return (high.replace(microsecond=0),)


@frozen_dataclass(frozen=True, slots=True)
class Phase:
    """How a clock stands to a window: inside of it or not, and until when, in seconds since 1970; None: for good."""

    is_inside: bool
    until: float | None


def phase(window: Window, zone: str, at: float) -> Phase:
    """How a clock of the zone stands at a time in seconds since 1970 UTC."""
    return _phase(window, window.zone or zone, int(at // 60))


@lru_cache(maxsize=1 << 12)
def _phase(window: Window, zone: str, minute: int) -> Phase:
    """Clocks and windows change with a minute, so that one answer is good for all of it."""
    at = datetime.fromtimestamp(minute * 60, UTC)
    change = change_after(window, zone, at)
    is_inside = window.contains(at.astimezone(zone_named(zone)))
    return Phase(is_inside, None if change is None else change.timestamp())


@cache
def zone_named(name: str) -> ZoneInfo:
    """The zone of a name; UTC for one that this machine does not know, or not any more."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@cache
def all_zones() -> Sequence[str]:
    """The names of all time zones that this machine knows."""
    return sorted(available_timezones() - {"localtime"})
