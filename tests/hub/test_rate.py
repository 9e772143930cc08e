"""What may pass in a second, and when the next may."""

import pytest
from pydantic import ValidationError

from hub.rate import UNLIMITED, Rate, RateLimiter


class Clock:
    """Seconds that go by when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(per_second=10, burst=30), clock=clock)
    assert limiter.available == 30
    limiter.take(30)
    assert limiter.available == 0
    assert limiter.wait() == pytest.approx(0.1)
    passed = 0
    for _ in range(100):
        clock.now += 0.1
        passed += limiter.available
        limiter.take(limiter.available)
    assert passed == 100
    clock.now += 3600
    assert limiter.available == 30


def test_those_that_share_a_rate_keep_to_it_together_as_they_come_and_go() -> None:
    clock, sharers = Clock(), 1
    limiters = [RateLimiter(Rate(per_second=10, burst=40), sharers=lambda: sharers, clock=clock) for _ in range(4)]
    assert limiters[0].available == 40
    sharers = 4
    assert [limiter.available for limiter in limiters] == [10] * 4
    for limiter in limiters:
        limiter.take(10)
    assert limiters[0].wait() == pytest.approx(0.4)
    passed = 0
    for _ in range(1000):
        clock.now += 0.1
        for limiter in limiters:
            passed += limiter.available
            limiter.take(limiter.available)
    assert passed == pytest.approx(1000, abs=4)
    sharers = 2  # two were killed
    clock.now += 100
    assert [limiter.available for limiter in limiters[:2]] == [20] * 2


def test_of_many_that_share_a_small_rate_each_takes_one_at_a_time() -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(per_second=2), sharers=lambda: 10, clock=clock)
    assert limiter.available == 1
    limiter.take(1)
    assert limiter.wait_for_batch() == pytest.approx(5.0)
    clock.now += 5.0
    assert limiter.available == 1


@pytest.mark.parametrize(("per_second", "burst"), [(0.25, 1), (1.0, 1), (2.5, 3), (100.0, 100)])
def test_without_a_burst_what_a_second_has_may_pass_at_once(per_second: float, burst: int) -> None:
    assert RateLimiter(Rate(per_second=per_second), clock=Clock()).available == burst


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        (Rate(per_second=1000), 0.1),  # a hundred together
        (Rate(per_second=1000, burst=5), 0.005),  # never more than may pass at once
        (Rate(per_second=0.5), 2.0),
    ],
)
def test_a_wait_is_for_as_many_as_make_a_batch(rate: Rate, seconds: float) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, clock=clock)
    limiter.take(limiter.available)
    assert limiter.wait_for_batch() == pytest.approx(seconds)
    clock.now += seconds
    assert limiter.wait_for_batch() == 0


def test_what_cannot_be_divided_passes_whole_and_the_next_waits_for_it() -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(per_second=10, burst=10), clock=clock)
    assert limiter.admit(0) == 0
    assert limiter.admit(50) == 0
    assert limiter.admit(1) == pytest.approx(4.1)
    clock.now += 4.05
    assert limiter.admit(1) > 0
    clock.now += 0.1
    assert limiter.admit(1) == 0


def test_another_rate_is_in_force_at_once_and_gives_no_second_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(Rate(per_second=10, burst=100), clock=clock)
    limiter.take(100)
    limiter.change(Rate(per_second=1000, burst=100))
    assert limiter.available == 0
    clock.now += 0.05
    assert limiter.available == 50
    limiter.change(None)
    assert (limiter.available, limiter.wait(), limiter.wait_for_batch()) == (UNLIMITED, 0, 0)
    limiter.take(1_000_000)
    limiter.change(Rate(per_second=1, burst=3))
    assert limiter.available == 3


@pytest.mark.parametrize("per_second", [0, -1, 1e7, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(per_second: float) -> None:
    with pytest.raises(ValidationError):
        Rate(per_second=per_second)
