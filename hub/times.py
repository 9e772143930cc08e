"""Text and numbers to a point in time: the one reader for maps, decoders and the hub API.

A time is read in the form it is written in, or refused:

    2024-01-15T10:11:12.5+01:00    RFC 3339, ISO 8601 extended; `T` may be a space, parts may be left out from the right
    20240115T101112Z, 2024-W03-1   ISO 8601 basic, week dates
    20240115101112.5+0100          compact: 8, 12 or 14 digits (SAP DATS and TIMESTAMP, HL7 DTM); 17 or 20 with the
                                   fraction's digits behind the second's (yyyyMMddHHmmssfff of .NET and Java)
    1705313472, 1705313472000      an epoch in s, ms, us or ns, between 1990 and 2100
    Mon, 15 Jan 2024 10:11:12 GMT  RFC 5322 and RFC 9110 (IMF-fixdate)
    /Date(1705313472000+0100)/     .NET's JSON, OData 2

The number of digits tells a compact date from an epoch: no epoch of the range has 8, 14, 17 or 20 digits, and one of
12 digits is above every date of 12 digits before the year 6311. Ten digits that could be YYYYMMDDhh of 1990 to 2099
as well, one in a hundred of the seconds of 2033 to 2036, are refused. So are 18 digits that are .NET's ticks or an
epoch of 1990 in ns, and nine digits with a fraction, which are seconds since 2001 (Swift's JSON) or an epoch before
that. The year of a date without hyphens is one of 1900 to 2099, or 9999, which SAP writes for "no end": so most of
YYMMDDhhmmss is refused, and not taken for another year.
"""

import re
from datetime import MAXYEAR, UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

KNOWN_FORMS = "RFC 3339, ISO 8601, YYYYMMDD, YYYYMMDDhhmm, YYYYMMDDhhmmss, epochs and HTTP dates are understood"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _END = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds
_UNITS_PER_SECOND = (1, 10**3, 10**6, 10**9)

_OFFSET = r"(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
_BASIC_CLOCK = r"(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?"
_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_BASIC_DAY = r"(?P<year>(?:19|20)\d\d|9999)(?P<month>\d\d)(?P<day>\d\d)"
_WEEK = r"(?P<year>\d{4})-?W(?P<week>\d\d)(?:-?(?P<weekday>[1-7]))?"
_ZONE = rf"(?: ?{_OFFSET}(?:\[[\w/+-]+\])?| ?(?P<utc>UTC|GMT))?"  # in brackets the zone's name besides (RFC 9557)

_RFC_3339 = re.compile(
    rf"{_DAY}[Tt](?P<hour>[01]\d|2[0-3]):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_ISO_8601 = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_DAY}(?:[Tt ](?:{_CLOCK}|(?P<only_hour>\d\d)))?{_ZONE}",
        rf"{_BASIC_DAY}(?:[Tt ]{_BASIC_CLOCK})?{_ZONE}",
        rf"{_WEEK}(?:[Tt ]{_CLOCK})?{_ZONE}",
    )
)
_COMPACT = re.compile(
    rf"{_BASIC_DAY}(?:(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)"
    rf"(?:[.,](?P<fraction>\d+)|(?P<joined_fraction>\d{{3}}(?:\d{{3}})?))?)?)?{_ZONE}",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE]\+?\d{1,2})?", re.ASCII)
_DOT_NET = re.compile(r"\\?/Date\((?P<milliseconds>-?\d{1,15})(?:[+-]\d{4})?\)\\?/", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HTTP = re.compile(
    rf"(?:(?P<weekday_name>{'|'.join(_WEEKDAYS)}), )?(?P<day>\d\d?) (?P<month_name>{'|'.join(_MONTHS)}) (?P<year>\d{{4}})"
    r" (?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))? (?:(?P<offset>[+-]\d{4})|(?P<utc>GMT|UTC?|Z))",
    re.ASCII | re.IGNORECASE,
)
_NOTHING = re.compile(
    r"|0(?:0{7}(?:0{4}|0{6}|0{9}|0{12})?)?(?:\.0*)?"
    r"|0000-00-00(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:00)?)?"
    r"|0001-01-01(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?"
    r"|00010101(?:0{4}|0{6}(?:0{3}|0{6})?)?(?:\.0*)?"
    r"|\\?/Date\(-62135(?:5[4-9]|6[0-4])\d{7}(?:[+-]\d{4})?\)\\?/",  # midnight of that day, by some clock on earth
    re.ASCII,
)
_OUTSIDE = "not a time: outside the years 1 to 9999"
_TICKS_FIRST, _TICKS_END = 627_667_488 * 10**9, 662_380_416 * 10**9
"""1990 and 2100 in .NET's ticks, 100 ns since the year 1."""
_SECONDS_OF_TEN_DIGITS = 10**9
_WITH_HOUR = re.compile(r"(?:199\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:\.0*)?", re.ASCII)
_MAX_LENGTH = 64


def parse_time(value: Any, timezone: tzinfo = UTC) -> datetime:
    """The instant that a text or a number names, in UTC; see the module for the forms.

    A time without an offset is in `timezone`. Where clocks are put back, the first of the two instants is meant; a time
    that clocks leap over is read by the offset before the leap (RFC 5545, section 3.3.5). A time of the year 9999 ("no
    end") that is in 10000 by UTC is the last one of 9999. A second 60 is the one after
    it, and has to be the end of a month in UTC (RFC 3339, section 5.7). Fractions beyond microseconds are cut.

    Raises: ValueError: names the form, never the value.
    """
    read = _read(value)
    return _in_utc(read, timezone) if isinstance(read, datetime) else _instant(read, timezone)


def parse_rfc3339(text: str) -> datetime:
    """The instant of an RFC 3339 `date-time` and nothing else, in UTC; `t` and `z` are as good as `T` and `Z`.

    Raises: ValueError.
    """
    matched = _RFC_3339.fullmatch(text)
    if matched is None:
        raise ValueError("not an RFC 3339 time, such as 2024-01-15T10:11:12Z")
    if matched["second"] == "60":
        return _instant(matched.groupdict(), UTC)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)  # ten times as fast
    except (ValueError, OverflowError):
        raise ValueError("not an RFC 3339 time: there is no such day, time or offset") from None


def parse_day(value: Any, timezone: tzinfo = UTC) -> date:
    """The calendar day that a text or a number names: as it is written, or the day of an instant in `timezone`; the last
    day of the calendar is its own day everywhere.

    Raises: ValueError: as `parse_time`.
    """
    read = _read(value)
    if isinstance(read, dict) and (_is_local(read) or not _has_clock(read)):
        return _day(read)
    instant = _in_utc(read, timezone) if isinstance(read, datetime) else _instant(read, timezone)
    try:
        return instant.astimezone(timezone).date()
    except OverflowError:
        if instant.year == MAXYEAR:
            return date.max
        raise ValueError(_OUTSIDE) from None


def is_no_time(value: Any) -> bool:
    """Whether a value says that there is no time.

    Null and an empty text do, 0, the dates of zeros that SAP and MySQL write, and .NET's smallest date, which serializers
    write with the offset of their machine.
    """
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return False
    return value == 0 or (isinstance(value, str) and _NOTHING.fullmatch(value.strip()) is not None)


_Parts = dict[str, str | None]


def _read(value: Any) -> datetime | _Parts:
    """A time or the parts of one, as they are written. Raises: ValueError."""
    if isinstance(value, datetime):
        return value
    text = _text(value)
    if _NUMBER.fullmatch(text) and (found := _from_epoch(text)) is not None:
        return found
    if (milliseconds := _DOT_NET.fullmatch(text)) is not None:
        try:
            return _EPOCH + timedelta(milliseconds=int(milliseconds[1]))
        except OverflowError:
            raise ValueError(_OUTSIDE) from None
    if (matched := _match(text)) is None:
        raise ValueError(_complaint(text))
    return matched.groupdict()


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("not a time: neither text nor a number")
    if isinstance(value, str):
        if len(value) > _MAX_LENGTH:
            raise ValueError(f"not a time: {len(value)} characters")
        return value.strip()
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_LENGTH:
        raise ValueError("not a time: a number out of range")
    return str(int(number)) if number == number.to_integral_value() else format(number, "f")


def _from_epoch(text: str) -> datetime | None:
    """The instant of a number in the range of one of the units, or None. Raises: ValueError: it may be a date as well."""
    if _WITH_HOUR.fullmatch(text):
        raise ValueError("not a time: ten digits that are an epoch or YYYYMMDDhh; which of them is not known")
    number = Decimal(text)
    if _TICKS_FIRST <= number < _TICKS_END:
        raise ValueError(
            "not a time: 18 digits that are .NET's ticks or an epoch of 1990 in ns; which of them is not known"
        )
    if _FIRST <= number < _SECONDS_OF_TEN_DIGITS and number != number.to_integral_value():
        raise ValueError(
            "not a time: nine digits and a fraction that are an epoch before 2001-09-09 or seconds since 2001, as Swift"
            " writes them; which of them is not known"
        )
    for units in _UNITS_PER_SECOND:
        if _FIRST * units <= number < _END * units:
            return _EPOCH + timedelta(microseconds=int(number * 10**6 / units))
    return None


def _match(text: str) -> re.Match[str] | None:
    for form in (_COMPACT, *_ISO_8601, _HTTP):
        if (matched := form.fullmatch(text)) is not None:
            return matched
    return None


def _complaint(text: str) -> str:
    if not text:
        return "not a time: empty"
    if _NUMBER.fullmatch(text):
        digits = len(format(Decimal(text), "f").partition(".")[0])
        return f"not a time: a number of {digits} digits is neither a date nor an epoch between 1990 and 2100"
    return f"not a time: {KNOWN_FORMS}"


def _is_local(parts: _Parts) -> bool:
    return parts.get("offset") is None and parts.get("utc") is None


def _has_clock(parts: _Parts) -> bool:
    return parts.get("hour") is not None or parts.get("only_hour") is not None


def _day(parts: _Parts) -> date:
    year = int(parts["year"] or 0)
    try:
        if (week := parts.get("week")) is not None:
            return date.fromisocalendar(year, int(week), int(parts["weekday"] or 1))
        name = parts.get("month_name")
        month = int(parts["month"] or 0) if name is None else _MONTHS.index(name.lower()) + 1
        day = date(year, month, int(parts["day"] or 0))
    except ValueError:
        raise ValueError("not a time: there is no such day") from None
    if (weekday := parts.get("weekday_name")) is not None and _WEEKDAYS[day.weekday()] != weekday.lower():
        raise ValueError("not a time: the day of the week is another")
    return day


def _instant(parts: _Parts, zone: tzinfo) -> datetime:
    day = _day(parts)
    hour = int(parts.get("hour") or parts.get("only_hour") or 0)
    minute, second = int(parts.get("minute") or 0), int(parts.get("second") or 0)
    microsecond = int((parts.get("fraction") or parts.get("joined_fraction") or "0")[:6].ljust(6, "0"))
    is_midnight_after = hour == 24 and minute == second == microsecond == 0  # ISO 8601, section 5.3.2
    if not is_midnight_after and (hour > 23 or minute > 59 or second > 60):
        raise ValueError("not a time: there is no such time of day")
    is_leap = second == 60
    local = datetime(day.year, day.month, day.day, hour % 24, minute, min(second, 59), microsecond)
    try:
        if is_midnight_after:
            local += timedelta(days=1)
        instant = _in_utc(local, UTC if parts.get("utc") else _zone(parts.get("offset"), zone))
        if not is_leap:
            return instant
        instant += timedelta(seconds=1)
    except OverflowError:
        raise ValueError(_OUTSIDE) from None
    if (instant.day, instant.hour, instant.minute, instant.second) != (1, 0, 0, 0):
        raise ValueError("not a time: a second 60 is no leap second, those end a month in UTC")
    return instant


def _zone(offset: str | None, zone: tzinfo) -> tzinfo:
    if offset is None:
        return zone
    if offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("not a time: there is no such offset")
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)


def _in_utc(time: datetime, zone: tzinfo) -> datetime:
    try:
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        if time.year == MAXYEAR:
            return datetime.max.replace(tzinfo=UTC)
        raise ValueError(_OUTSIDE) from None
