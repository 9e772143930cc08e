"""Of warnings that repeat the first few are written, and how many more there were."""

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.observe.repeats import MOST, SECONDS, RepeatedWarnings

Lines = list[MutableMapping[str, Any]]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured


def refused(warnings: RepeatedWarnings, count: int, *, detail: str = "no id") -> None:
    for number in range(count):
        warnings.warning("event refused", event_id=f"e-{number}", source="hr", reason="map", detail=detail)


def test_the_first_few_of_a_cause_are_whole_and_the_rest_is_a_count(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    refused(warnings, 1000)
    assert [line["event_id"] for line in lines] == [f"e-{number}" for number in range(MOST)]
    warnings.end()
    assert lines[MOST:] == [
        {
            "event": "more such lines left out",
            "log_level": "warning",
            "line": "event refused",
            "times": 1000 - MOST,
            "source": "hr",
            "reason": "map",
            "detail": "no id",
        }
    ]
    warnings.end()
    assert len(lines) == MOST + 1


def test_another_cause_is_written_in_the_midst_of_a_flood(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    refused(warnings, 1000)
    refused(warnings, 1, detail="no type")
    assert lines[-1]["detail"] == "no type"


def test_what_repeats_slowly_is_written_whole(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    for _ in range(30):
        refused(warnings, MOST)
        clock.now += SECONDS
    assert [line["event"] for line in lines] == ["event refused"] * 30 * MOST


def test_the_next_line_after_the_time_tells_of_those_left_out_before_it(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    refused(warnings, MOST + 5)
    clock.now += SECONDS
    refused(warnings, 1)
    assert [line.get("times") for line in lines[MOST:]] == [5, None]


def test_causes_without_end_share_a_count(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    for number in range(2000):
        refused(warnings, 1, detail=f"column {number}")
    warnings.end()
    assert len(lines) == 500 + MOST + 1
    assert lines[-1] == {
        "event": "more such lines left out",
        "log_level": "warning",
        "line": "event refused",
        "times": 2000 - 500 - MOST,
        "source": "hr",
    }


def test_causes_without_end_of_one_source_hide_no_line_of_another(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    for number in range(2000):
        refused(warnings, 1, detail=f"column {number}")
    warnings.warning("event refused", event_id="1", source="bank", reason="map", detail="no id")
    assert lines[-1]["source"] == "bank"


def test_what_is_counted_has_a_bound(clock: Clock, lines: Lines) -> None:
    warnings = RepeatedWarnings(clock=clock)
    for number in range(3000):
        warnings.warning("event refused", source=f"source {number}", detail="no id")
    assert len(warnings._counts) == 1001


async def test_a_flood_that_has_ended_is_told_of_without_a_line_after_it(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.observe.repeats.SECONDS", 0.01)
    refused(RepeatedWarnings(), MOST + 5)
    async with asyncio.timeout(10):
        while len(lines) == MOST:
            await asyncio.sleep(0.001)
    assert lines[-1]["times"] == 5
