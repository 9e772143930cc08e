"""Times as systems write them: read in the form that is meant, or refused."""

from calendar import monthrange
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


def at(text: str) -> datetime:
    """The oracle of the tables: a time in UTC, read by the standard library."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value, instant",
    [
        ("20240115101112", "2024-01-15 09:11:12"),
        ("20240715101112", "2024-07-15 08:11:12"),
        ("20240115101112+0100", "2024-01-15 09:11:12"),
        ("20240115101112-05:00", "2024-01-15 15:11:12"),
        ("20240115101112Z", "2024-01-15 10:11:12"),
        ("20240115101112.25", "2024-01-15 09:11:12.25"),
        ("20240115101112.1234567+0100", "2024-01-15 09:11:12.123456"),
        ("202401151011", "2024-01-15 09:11:00"),
        ("202401151011+0000", "2024-01-15 10:11:00"),
        ("20240115", "2024-01-14 23:00:00"),
        ("20240115+0000", "2024-01-15 00:00:00"),
        ("99991231235959", "9999-12-31 22:59:59"),
        (20240115, "2024-01-14 23:00:00"),
        (20240115101112, "2024-01-15 09:11:12"),
        (20240115101112.0, "2024-01-15 09:11:12"),
        (Decimal("20240115101112.1234567"), "2024-01-15 09:11:12.123456"),
        (" 2024-01-15T10:11:12Z ", "2024-01-15 10:11:12"),
        ("2024-01-15t10:11:12.5z", "2024-01-15 10:11:12.5"),
        ("2024-01-15T10:11:12,5Z", "2024-01-15 10:11:12.5"),
        ("2024-01-15 10:11:12 +0100", "2024-01-15 09:11:12"),
        ("2024-01-15 10:11:12 UTC", "2024-01-15 10:11:12"),
        ("2024-01-15T10:11:12+01:00[Europe/Zurich]", "2024-01-15 09:11:12"),
        ("2024-01-15T10:11", "2024-01-15 09:11:00"),
        ("2024-01-15T24:00:00Z", "2024-01-16 00:00:00"),
        ("2024-01-15-05:00", "2024-01-15 05:00:00"),
        ("20240115T101112Z", "2024-01-15 10:11:12"),
        ("2024-W03-1", "2024-01-14 23:00:00"),
        ("Mon, 15 Jan 2024 10:11:12 GMT", "2024-01-15 10:11:12"),
        ("15 jan 2024 10:11 +0100", "2024-01-15 09:11:00"),
        ("/Date(1705313472000+0100)/", "2024-01-15 10:11:12"),
        ("1705313472", "2024-01-15 10:11:12"),
        ("1705313472.000000001", "2024-01-15 10:11:12"),
        ("1.7053134720E12", "2024-01-15 10:11:12"),
        (631152000, "1990-01-01 00:00:00"),
        (4102444799, "2099-12-31 23:59:59"),
        (946684800000, "2000-01-01 00:00:00"),
        (1705313472000, "2024-01-15 10:11:12"),
        (1705313472.25, "2024-01-15 10:11:12.25"),
        (Decimal("1705313472.25"), "2024-01-15 10:11:12.25"),
        (1705313472000000, "2024-01-15 10:11:12"),
        (1705313472000000000, "2024-01-15 10:11:12"),
        ("2024-03-31T02:30:00", "2024-03-31 01:30:00"),  # leapt over: by the offset before
        ("2024-10-27T02:30:00", "2024-10-27 00:30:00"),  # twice: the first
        ("20241027023000", "2024-10-27 00:30:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00"),
        ("20170101005960", "2017-01-01 00:00:00"),
    ],
)
def test_a_time_is_read_in_the_form_that_is_meant(value: Any, instant: str) -> None:
    assert parse_time(value, ZURICH) == at(instant)


@pytest.mark.parametrize(
    "value, complaint",
    [
        ("20241301101112", "no such day"),
        ("20240230", "no such day"),
        ("20240115251112", "no such time of day"),
        ("20240115101112+2500", "no such offset"),
        ("2024-01-15T10:11:12+01:60", "no such offset"),
        ("2016-12-30T23:59:60Z", "no leap second"),
        ("2024011510", "YYYYMMDDhh"),
        ("12345", "a number of 5 digits"),
        (86400, "a number of 5 digits"),
        (631151999, "a number of 9 digits"),
        (4102444800, "a number of 10 digits"),
        (17053134720000, "no such day"),
        (10**200, "out of range"),
        (float("nan"), "out of range"),
        ("Tue, 15 Jan 2024 10:11:12 GMT", "day of the week"),
        ("0001-01-01T00:00:00+23:59", "outside the years"),
        ("/Date(-99999999999999)/", "outside the years"),
        ("soon", "RFC 3339"),
        ("", "empty"),
        ("2024-01", "RFC 3339"),
        ("٢٠٢٤٠١١٥", "RFC 3339"),
        ("2024-01-15" * 10, "100 characters"),
        (True, "neither text nor a number"),
        ([], "neither text nor a number"),
    ],
)
def test_what_is_no_time_or_may_be_two_is_refused_by_its_form(value: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_time(value, ZURICH)


@pytest.mark.parametrize(
    "text, instant",
    [
        ("2024-01-15T10:11:12Z", "2024-01-15 10:11:12"),
        ("2024-01-15t10:11:12.1234567z", "2024-01-15 10:11:12.123456"),
        ("2024-01-15T10:11:12-00:00", "2024-01-15 10:11:12"),
        ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01 00:00:00"),
    ],
)
def test_rfc_3339_is_read(text: str, instant: str) -> None:
    assert parse_rfc3339(text) == at(instant)


@pytest.mark.parametrize(
    "text",
    [
        *["20240115T101112Z", "2024-01-15 10:11:12Z", "2024-01-15T10:11Z", "2024-01-15T10:11:12"],
        *["2024-01-15T10:11:12+0100", "2024-01-15T24:00:00Z", "2024-01-15T10:11:12,5Z", "2024-02-30T10:11:12Z"],
        *["2024-01-15", "20240115101112+0100", "2024-01-15T10:11:61Z", "2024-01-15T10:11:12.Z"],
        *["2024-01-15T10:11:12Z\n", "1705313472", ""],
    ],
)
def test_what_is_not_rfc_3339_is_refused_where_that_is_asked(text: str) -> None:
    with pytest.raises(ValueError, match="not an RFC 3339 time"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    "value, day",
    [
        ("20240115", date(2024, 1, 15)),
        ("99991231", date(9999, 12, 31)),
        ("2024-01-15+14:00", date(2024, 1, 15)),
        ("2024-01-15T00:00:00", date(2024, 1, 15)),
        ("2024-01-15T23:30:00Z", date(2024, 1, 16)),  # in Zurich
        ("20240115233000", date(2024, 1, 15)),
        (1705361400, date(2024, 1, 16)),
    ],
)
def test_a_day_is_as_it_is_written_or_that_of_an_instant_in_the_zone(value: Any, day: date) -> None:
    assert parse_day(value, ZURICH) == day


@pytest.mark.parametrize(
    "value, answer",
    [
        *[
            (value, True)
            for value in [None, "", " ", "00000000", "00000000000000", "0000-00-00", 0, "0", Decimal("0.0")]
        ],
        *[(value, True) for value in ["0001-01-01T00:00:00", "0000-00-00 00:00:00"]],
        *[(value, False) for value in ["20240115", "000000", "x", 1, False, [], "0001-01-02"]],
    ],
)
def test_no_time_is_told_from_a_time(value: Any, answer: bool) -> None:
    assert is_no_time(value) is answer


OFFSETS = {"": ZURICH, "Z": UTC, "+0100": timezone(timedelta(hours=1)), "-05:30": timezone(-timedelta(hours=5.5))}


@st.composite
def written(draw: st.DrawFn) -> tuple[str, tuple[int, ...], str]:
    """A text put together from its parts, the parts, and the offset; nothing of the product takes part."""
    year, month = draw(st.integers(1000, 9998)), draw(st.integers(1, 12))
    day = draw(st.integers(1, monthrange(year, month)[1]))
    hour, minute, second = draw(st.integers(0, 23)), draw(st.integers(0, 59)), draw(st.integers(0, 59))
    micro = draw(st.integers(0, 999_999))
    offset = draw(st.sampled_from(sorted(OFFSETS)))
    extended, compact = f"{year}-{month:02}-{day:02}", f"{year}{month:02}{day:02}"
    text, parts = draw(
        st.sampled_from(
            [
                (f"{extended}T{hour:02}:{minute:02}:{second:02}", (hour, minute, second)),
                (f"{extended} {hour:02}:{minute:02}:{second:02}.{micro:06}", (hour, minute, second, micro)),
                (f"{extended}T{hour:02}:{minute:02}", (hour, minute)),
                (f"{compact}T{hour:02}{minute:02}{second:02}", (hour, minute, second)),
                (f"{compact}{hour:02}{minute:02}{second:02}", (hour, minute, second)),
                (f"{compact}{hour:02}{minute:02}{second:02}.{micro:06}", (hour, minute, second, micro)),
                (f"{compact}", ()),
                (f"{extended}", ()),
            ]
        )
    )
    return text + offset, (year, month, day, *parts), offset


@settings(deadline=None)
@given(written())
def test_a_text_means_the_parts_it_was_put_together_from(case: tuple[str, tuple[int, ...], str]) -> None:
    text, parts, offset = case
    meant = datetime(*parts[:3], *parts[3:], tzinfo=OFFSETS[offset])  # type: ignore[arg-type,misc] # 3 to 7 numbers
    assert parse_time(text, ZURICH) == meant.astimezone(UTC)


@settings(deadline=None)
@given(st.integers(631_152_000, 4_102_444_799), st.sampled_from([1, 10**3, 10**6, 10**9]), st.sampled_from([int, str]))
def test_an_epoch_means_its_seconds_whatever_its_unit(seconds: int, unit: int, spell: type) -> None:
    with suppress(ValueError):  # ten digits that are a date as well
        assert parse_time(spell(seconds * unit), ZURICH) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=seconds
        )


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.text(max_size=30) | st.from_regex(r"[0-9TZW:+./ -]{1,25}", fullmatch=True) | st.integers() | st.floats()
    | st.decimals()
)  # fmt: skip
def test_anything_is_a_time_in_utc_or_refused(value: Any) -> None:
    with suppress(ValueError):
        assert parse_time(value).tzinfo is UTC
    with suppress(ValueError):
        assert type(parse_day(value)) is date
