"""The store's time follows the host's, but for its steps: they wait for the store to move its work."""

import itertools

import pytest

from hub.store.clock import StoreClock

HOUR = 3600.0
NOON = 1_700_000_000.0


class Host:
    """A host's two clocks."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 50.0
        self.clock = StoreClock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)
        self.clock.now()

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def test_time_passes() -> None:
    host = Host()
    for _ in range(100):
        host.pass_time(0.25)
        host.clock.now()
    assert host.clock.now() == pytest.approx(NOON + 25)
    assert host.clock.step == 0


def test_a_long_pause_between_two_looks_is_no_step() -> None:
    host = Host()
    host.pass_time(5 * HOUR)
    assert host.clock.now() == pytest.approx(NOON + 5 * HOUR)
    assert host.clock.step == 0


@pytest.mark.parametrize("step", [0.6, -0.6, 3 * HOUR, -3 * HOUR])
def test_a_step_is_held_back_until_it_is_adopted(step: float) -> None:
    host = Host()
    host.pass_time(1)
    host.wall += step
    host.pass_time(1)
    assert host.clock.now() == pytest.approx(NOON + 2)
    assert host.clock.step == pytest.approx(step)
    assert host.clock.wall() == pytest.approx(NOON + 2 + step)
    host.pass_time(1)
    assert host.clock.now() == pytest.approx(NOON + 3)
    host.clock.adopt(host.clock.step)
    assert host.clock.now() == pytest.approx(NOON + 3 + step)
    assert host.clock.step == 0


def test_a_second_step_while_the_store_moves_its_work_waits_for_the_next_move() -> None:
    host = Host()
    host.wall += HOUR
    first = host.clock.step
    host.wall -= 3 * HOUR
    host.clock.adopt(first)
    assert host.clock.now() == pytest.approx(NOON + HOUR)
    assert host.clock.step == pytest.approx(-3 * HOUR)


def test_a_step_that_is_taken_back_needs_no_move() -> None:
    host = Host()
    for step in (HOUR, -HOUR):
        host.wall += step
        host.clock.now()
    assert host.clock.step == pytest.approx(0)


@pytest.mark.parametrize("slew", [0.0005, -0.0005])
def test_a_clock_that_is_slewed_is_followed(slew: float) -> None:
    host = Host()
    for _ in range(4000):
        host.pass_time(1)
        host.wall += slew
        host.clock.now()
    assert host.clock.step == 0
    assert host.clock.now() == host.wall


def test_a_store_that_was_closed_before_the_clock_was_set_back_goes_on_from_its_last_time() -> None:
    host = Host()
    host.clock.resume(NOON + 2 * HOUR)
    host.pass_time(1)
    assert host.clock.now() == pytest.approx(NOON + 2 * HOUR + 1)
    assert host.clock.step == pytest.approx(-2 * HOUR)
    host.clock.adopt(host.clock.step)
    assert host.clock.now() == pytest.approx(NOON + 1)


def test_a_store_that_was_closed_for_hours_has_the_time_of_its_host() -> None:
    host = Host()
    host.clock.resume(NOON - 2 * HOUR)
    assert host.clock.now() == NOON
    assert host.clock.step == 0


def test_a_process_that_is_held_up_between_its_two_clocks_sees_no_step() -> None:
    host = Host()
    pauses = itertools.chain([0.0, 3.0], itertools.repeat(0.0))

    def monotonic() -> float:
        host.pass_time(next(pauses))
        return host.monotonic

    clock = StoreClock(wall=lambda: host.wall, monotonic=monotonic)
    clock.now()
    assert clock.step == 0
