"""Text and numbers to a point in time, against times that were spelled from their parts."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.times import is_no_time, parse_day, parse_rfc3339, parse_time

ZURICH = ZoneInfo("Europe/Zurich")
TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, time",
    [
        ("2026-03-02T10:00:00Z", TEN),
        ("2026-03-02t10:00:00z", TEN),
        ("2026-03-02 10:00:00+00:00", TEN),
        ("2026-03-02T11:00:00+01:00", TEN),
        ("2026-03-02T10:00:00.000000Z", TEN),
        ("2026-03-02T11:00:00", TEN),
        (" 2026-03-02T11:00 ", TEN),
        ("20260302T110000", TEN),
        ("2026-07-02T12:00:00", datetime(2026, 7, 2, 10, 0, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 1, 23, 0, tzinfo=UTC)),
        ("20260302", datetime(2026, 3, 1, 23, 0, tzinfo=UTC)),
        ("1772445600", TEN),
        ("1772445600.5", datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("1772445600000", TEN),
        ("1772445600000000", TEN),
        ("1772445600000000000", TEN),
        (1772445600, TEN),
        (1772445600.5, datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)),
        (Decimal("1772445600.000001"), datetime(2026, 3, 2, 10, 0, 0, 1, tzinfo=UTC)),
        (1.7724456e18, TEN),
        ("1712011200", datetime(2024, 4, 1, 22, 40, tzinfo=UTC)),  # digits of a day in 1712
        ("631152000", datetime(1990, 1, 1, tzinfo=UTC)),
        ("4102444799", datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("202603021100", TEN),
        ("20260302110000", TEN),
        (20260302110000, TEN),
        (Decimal("20260302110000"), TEN),
        (20260302110000.0, TEN),
        (202603021100.0, TEN),
        ("20260302110000.0000000", TEN),
        ("20260302110000,000", TEN),
        ("20260302110000+0100", TEN),
        ("20260302110000123", datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)),
        (20260302110000123, datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("20260302110000123456", datetime(2026, 3, 2, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("20260302100000123Z", datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=UTC)),
        ("20260302110000.5+0100", datetime(2026, 3, 2, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("202603021100+01:00", TEN),
        ("202603021000 UTC", TEN),
        ("20260302100000Z", TEN),
        ("20260302050000-0500", TEN),
        ("2026-W10-1T11:00:00", TEN),
        ("99991231", datetime(9999, 12, 30, 23, 0, tzinfo=UTC)),
        ("2026-03-02T11:00:00,000+01:00[Europe/Zurich]", TEN),
        ("2026-03-01T24:00:00", datetime(2026, 3, 1, 23, 0, tzinfo=UTC)),
        ("Mon, 02 Mar 2026 10:00:00 GMT", TEN),
        ("2 Mar 2026 11:00 +0100", TEN),
        ("/Date(1772445600000)/", TEN),
        ("\\/Date(1772445600000+0100)\\/", TEN),
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # clocks leap over this time
        ("20261025023000", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # the first of two
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        (TEN.astimezone(ZURICH), TEN),
        (datetime(2026, 3, 2, 11, 0), TEN),
    ],
)
def test_a_time_is_read_as_systems_write_it(text: Any, time: datetime) -> None:
    assert parse_time(text, ZURICH) == time


@pytest.mark.parametrize(
    "value, complaint",
    [
        ("2033011510", "an epoch or YYYYMMDDhh"),
        (2033011510.0, "an epoch or YYYYMMDDhh"),
        (638409102720000000, ".NET's ticks or an epoch of 1990"),
        ("662380415999999999", ".NET's ticks or an epoch of 1990"),
        (727006272.125, "seconds since 2001"),  # 2024 as Swift's JSONEncoder writes it, and not 1993
        ("1e10", "a number of 11 digits is neither"),
        ("631151999", "a number of 9 digits is neither"),
        ("4102444800", "a number of 10 digits is neither"),
        ("26030211", "a number of 8 digits is neither"),
        ("240112101112", "a number of 12 digits is neither"),  # YYMMDDhhmmss, or a day in 2401
        ("20260229", "no such day"),
        ("2026022912", "epoch or YYYYMMDDhh"),
        ("20260302246000", "no such time of day"),
        ("20260302246000000", "no such time of day"),
        ("202603021100001234", "a number of 18 digits is neither"),
        ("202603021100001234567", "a number of 21 digits is neither"),
        ("20260302110000+2500", "no such offset"),
        ("2026-03-02T11:59:60Z", "no leap second"),
        ("Tue, 02 Mar 2026 10:00:00 GMT", "the day of the week is another"),
        ("0001-01-01T00:00:00+01:00", "outside the years"),
        ("9999-12-31T24:00:00Z", "outside the years"),
        ("/Date(999999999999999)/", "outside the years"),
        ("-1772445600", "are understood"),
        ("1_772_445_600", "are understood"),
        ("٢٠٢٦٠٣٠٢", "are understood"),
        ("", "empty"),
        ("1" * 65, "65 characters"),
        (10**400, "out of range"),
        (float("nan"), "out of range"),
        (Decimal("Infinity"), "out of range"),
        (True, "neither text nor a number"),
        (None, "neither text nor a number"),
        ([], "neither text nor a number"),
    ],
)
def test_what_is_no_time_is_refused_with_the_form(value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_time(value)


@pytest.mark.parametrize(
    "value",
    [None, "", "  ", 0, 0.0, Decimal(0), "0", "00000000", "000000000000", "00000000000000", "00000000000000.0000000",
     "0000-00-00", "0000-00-00 00:00:00", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00",
     "0001-01-01T00:00:00+01:00",
     "/Date(-62135596800000)/", "/Date(-62135568000000)/", "/Date(-62135600400000+0100)/",
     "00010101", "00010101000000", "00010101000000000", "0" * 17, "0" * 20],
)  # fmt: skip
def test_zeros_are_no_time(value: Any) -> None:
    assert is_no_time(value)


@pytest.mark.parametrize("value", ["0000", "1", 1, False, [], "19700101", "1970-01-01T00:00:00Z", "none"])
def test_what_may_be_a_time_or_a_mistake_is_not_nothing(value: Any) -> None:
    assert not is_no_time(value)


@pytest.mark.parametrize(
    "value, day",
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("2026-03-02-11:00", date(2026, 3, 2)),  # a day, wherever it was
        ("20260302235959", date(2026, 3, 2)),
        ("2026-03-02T23:30:00Z", date(2026, 3, 3)),  # in Zurich
        (1772445600, date(2026, 3, 2)),
        ("2026-W10", date(2026, 3, 2)),
    ],
)
def test_a_day_is_the_one_written_or_that_of_the_instant(value: Any, day: date) -> None:
    assert parse_day(value, ZURICH) == day


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59-05:00", "9999-12-31"])
def test_the_end_of_the_calendar_is_its_last_day_and_its_last_time_everywhere(value: str) -> None:
    assert parse_day(value, ZURICH) == date.max
    assert parse_time(value, timezone(timedelta(hours=-5))).year == 9999


def test_a_day_before_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        parse_day("0001-01-01T12:00:00+14:00", ZURICH)


TIMES = st.datetimes(min_value=datetime(1990, 1, 2), max_value=datetime(2099, 12, 30))
OFFSETS = st.integers(min_value=-14 * 60, max_value=14 * 60)
FORMS = {
    "%Y-%m-%dT%H:%M:%S{fraction}{colon}": 1,
    "%Y-%m-%d %H:%M:%S{fraction}{plain}": 1,
    "%Y%m%dT%H%M%S{fraction}{plain}": 1,
    "%Y%m%d%H%M%S{fraction}{plain}": 1,
    "%Y%m%d%H%M%S{plain}": 1_000_000,
    "%Y%m%d%H%M{colon}": 60_000_000,
    "%Y-%m-%dT%H:%M{colon}": 60_000_000,
    "%G-W%V-%uT%H:%M:%S{colon}": 1_000_000,
    "%d %b %Y %H:%M:%S {plain}": 1_000_000,
}
"""Each with the microseconds that its last digit counts."""


def spelled(minutes: int, colon: str) -> str:
    sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
    return f"{sign}{minutes // 60:02}{colon}{minutes % 60:02}"


@settings(deadline=None)  # a busy machine is no failure
@given(local=TIMES, offset=OFFSETS, form=st.sampled_from(sorted(FORMS)))
def test_a_time_spelled_from_its_parts_is_that_time(local: datetime, offset: int, form: str) -> None:
    text = local.strftime(form).format(
        fraction=f".{local.microsecond:06}", colon=spelled(offset, ":"), plain=spelled(offset, "")
    )
    since = local - datetime(1970, 1, 1) - timedelta(minutes=offset)
    whole = since // timedelta(microseconds=FORMS[form]) * timedelta(microseconds=FORMS[form])
    assert parse_time(text, ZURICH) == datetime(1970, 1, 1, tzinfo=UTC) + whole


@settings(deadline=None)  # a busy machine is no failure
@given(
    local=TIMES,
    form=st.sampled_from(["%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d"]),
    spell=st.sampled_from([str, int, Decimal]),
)
def test_digits_without_an_offset_are_in_the_time_zone(local: datetime, form: str, spell: Any) -> None:
    hours = timedelta(hours=-7)
    step = {"%Y%m%d%H%M%S": timedelta(seconds=1), "%Y%m%d%H%M": timedelta(minutes=1), "%Y%m%d": timedelta(days=1)}[form]
    meant = datetime(1970, 1, 1) + (local - datetime(1970, 1, 1)) // step * step - hours
    assert parse_time(spell(local.strftime(form)), timezone(hours)) == meant.replace(tzinfo=UTC)


@settings(deadline=None)  # a busy machine is no failure
@given(
    seconds=st.integers(min_value=662_380_416, max_value=1_990_000_000),  # below: .NET's ticks, in ns
    units=st.sampled_from([1, 10**3, 10**6, 10**9]),
    spell=st.sampled_from([str, int, Decimal, "{}.0".format, "{}.000".format]),
)
def test_an_epoch_is_the_same_in_every_unit(seconds: int, units: int, spell: Any) -> None:
    assert parse_time(spell(seconds * units), ZURICH) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@settings(deadline=None)  # a busy machine is no failure
@given(local=TIMES, offset=OFFSETS, lower=st.booleans())
def test_rfc_3339_is_read_strictly(local: datetime, offset: int, lower: bool) -> None:
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06}{spelled(offset, ':')}"
    assert parse_rfc3339(text.lower() if lower else text) == local.replace(tzinfo=UTC) - timedelta(minutes=offset)
    for refused in (text[:-6], text.replace("T", " "), text[:-3] + text[-2:], f" {text}"):
        with pytest.raises(ValueError, match="not an RFC 3339 time"):
            parse_rfc3339(refused)


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text(max_size=30) | st.from_regex(r"[0-9TZ:+.-]{1,25}", fullmatch=True))
def test_any_text_is_a_time_in_utc_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is UTC
    with suppress(ValueError):
        parse_day(text, ZURICH)
    is_no_time(text)
