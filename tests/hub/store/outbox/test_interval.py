"""`Interval`: at once, then after so many seconds, or sooner where it was ended."""

from hub.store.outbox.interval import Interval
from tests.fakes.host_clock import HostClock


def test_the_first_time_is_at_once_and_the_next_after_its_seconds() -> None:
    clock = HostClock()
    interval = Interval(10.0, monotonic=clock.monotonic)
    assert interval.has_passed()
    clock.advance(9.9)
    assert not interval.has_passed()
    clock.advance(0.1)
    assert interval.has_passed()
    assert not interval.has_passed()


def test_one_that_was_ended_has_passed_once() -> None:
    clock = HostClock()
    interval = Interval(10.0, monotonic=clock.monotonic)
    interval.has_passed()
    interval.end()
    assert interval.has_passed()
    assert not interval.has_passed()
