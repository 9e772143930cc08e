"""Where a time to live begins, and what becomes of an event that comes after its end."""

from datetime import UTC, datetime, timedelta

import pytest

from rules.errors import TooLateError
from rules.ttl import TtlFrom, expires_at

NOW = datetime(2026, 3, 2, 20, 50, tzinfo=UTC)
TTL = timedelta(seconds=30)


@pytest.mark.parametrize(
    "begins, age, left",
    [
        (TtlFrom.NOW, 0, 30),
        (TtlFrom.NOW, 7200, 30),
        (TtlFrom.TIME, 0, 30),
        (TtlFrom.TIME, 29, 1),
        (TtlFrom.TIME, -90, 30),
    ],
)
def test_what_is_left_of_it(begins: TtlFrom, age: int, left: int) -> None:
    end = expires_at(TTL, begins, time=NOW - timedelta(seconds=age), now=NOW)
    assert end == NOW + timedelta(seconds=left)


@pytest.mark.parametrize("age", [30, 31, 86_400])
def test_an_event_that_comes_after_its_end_is_too_late(age: int) -> None:
    with pytest.raises(TooLateError, match=f"came {age} s after its time, and ttl is 30 s"):
        expires_at(TTL, TtlFrom.TIME, time=NOW - timedelta(seconds=age), now=NOW)


def test_without_one_there_is_no_end() -> None:
    assert expires_at(None, TtlFrom.TIME, time=NOW, now=NOW) is None
