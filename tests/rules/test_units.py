"""Durations."""

from datetime import timedelta

import pytest

from rules.units import duration


@pytest.mark.parametrize(
    "text, seconds",
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("7d", 604_800), ("90", 90)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1 h", "1w", "h", "1h x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


def test_nobody_waits_a_hundred_years() -> None:
    with pytest.raises(ValueError, match="hundred years"):
        duration("999999d")
