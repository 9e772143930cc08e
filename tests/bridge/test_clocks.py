"""What `doctor` says of the clocks of those it asked, and what it takes for a time that a host said."""

from collections.abc import Mapping

import pytest

from bridge.cli.clocks import clock_findings
from hub.host_time import HostTime, host_time

NOON = 1_772_366_400.0
"""2026-03-01 12:00 UTC."""
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "ahead, found",
    [
        (0.0, [("ok", "this machine's clock is within 30 s of the clock of a.example")]),
        (-29.0, [("ok", "this machine's clock is within 30 s of the clock of a.example")]),
        (31.0, [("warning", "this machine's clock is 31 s ahead of the clock of a.example")]),
        (-300.0, [("warning", "this machine's clock is 300 s behind the clock of a.example")]),
        (3600.0, [("failed", "this machine's clock is 3600 s ahead of the clock of a.example")]),
    ],
)
def test_how_far_a_clock_may_be_off(ahead: float, found: list[tuple[str, str]]) -> None:
    findings = clock_findings([HostTime(host="a.example", ahead=ahead)])
    assert [(each.health.value, each.text) for each in findings] == found
    assert [bool(each.cure) for each in findings] == [health != "ok" for health, _ in found]


def test_of_several_hosts_each_that_differs_is_named_once_by_its_largest_difference() -> None:
    times = [("a.example", 40.0), ("b.example", 1.0), ("a.example", 2.0), ("c.example", -500.0)]
    findings = clock_findings([HostTime(host=host, ahead=ahead) for host, ahead in times])
    assert {each.name: each.health.value for each in findings} == {"a.example": "warning", "c.example": "failed"}
    (both,) = clock_findings([HostTime(host=host, ahead=0) for host in ("b.example", "a.example")])
    assert both.text.endswith("of a.example, b.example")
    assert clock_findings([]) == []


@pytest.mark.parametrize(
    "headers, ahead",
    [
        ({"date": DATE}, 0.0),
        ({"date": "Sun, 01 Mar 2026 13:00:00 GMT"}, -3600.0),
        ({"date": "Sunday, 01-Mar-26 11:00:00 GMT"}, 3600.0),
        ({"date": "Sun, 01 Mar 2026 11:00:00 GMT", "age": "3600"}, 0.0),
        ({}, None),
        ({"date": ""}, None),
        ({"date": "tomorrow"}, None),
        ({"date": "Sun, 31 Feb 2026 12:00:00 GMT"}, None),
        ({"date": DATE, "age": "old"}, None),
        ({"date": "Sun, 01 Mar 99999999 12:00:00 GMT"}, None),
    ],
)
def test_a_time_is_read_as_an_answer_says_it_or_there_is_none(headers: Mapping[str, str], ahead: float | None) -> None:
    found = host_time("a.example", headers, now=NOON)
    assert (None if found is None else found.ahead) == ahead
