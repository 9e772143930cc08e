"""Durations of rules."""

from datetime import timedelta

import pytest

from connectors.duration import seconds_in
from rules.node import Mark, Node
from rules.problems import Problems
from rules.reading import span
from rules.units import spelled


def read(text: str) -> tuple[timedelta | None, list[str]]:
    problems = Problems()
    place = Mark("rules.yaml", 1, 1)
    node = Node(key="ttl", mark=place, key_mark=place, value=text, text=text)
    return span(node, problems, seconds_in), [str(problem) for problem in problems.sorted()]


@pytest.mark.parametrize(
    "text, seconds",
    [("500ms", 0.5), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("7d", 604_800), ("90", 90)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert read(text) == (timedelta(seconds=seconds), [])


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1 h", "1w", "h", "1h x"])
def test_anything_else_is_refused(text: str) -> None:
    value, problems = read(text)
    assert value is None
    assert len(problems) == 1
    assert "not a duration; write a number and its unit, such as 30s, 10m, 1h30m or 7d" in problems[0]


@pytest.mark.parametrize("text", ["999999d", "9" * 400 + "d"])
def test_a_duration_ends_within_a_hundred_years(text: str) -> None:
    value, problems = read(text)
    assert value is None
    assert problems[0].endswith("longer than a hundred years")


def test_a_duration_in_digits_of_another_script_is_not_offered_again() -> None:
    _, problems = read("٣s")
    assert "(write" not in problems[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (90, "1m30s"),
        (86_400, "1d"),
        (604_800, "7d"),
        (5400.5, "1h30m500ms"),
        (0.2, "200ms"),
        (0.0005, "0.5ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_units(seconds: float, text: str) -> None:
    assert spelled(timedelta(seconds=seconds)) == text
    assert read(text) == (timedelta(seconds=seconds), [])
