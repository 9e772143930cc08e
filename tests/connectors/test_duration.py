"""A duration is seconds, or text that says its unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.duration import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h30m", 5400), ("7d", 604800), ("1.5s", 1.5), ("0s", 0)],
)
def test_text_with_a_unit_is_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("number", [30, 0.25])
def test_a_number_is_seconds_already(number: float) -> None:
    assert seconds(number) == number


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-1s", "1e3s", "30S", "1.s", "½s", "٣s", "30s "])
def test_other_text_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 30s"):
        seconds(text)


@given(st.text() | st.from_regex(r"([0-9.]{0,3}(ms|s|m|h|d| )){1,3}"))
def test_any_text_is_seconds_or_refused(text: str) -> None:
    try:
        result = seconds(text)
    except ValueError:
        return
    assert isinstance(result, float)
    assert result >= 0
