"""Whether a push is tried again, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.retry import RetryPolicy

POLICY = RetryPolicy(base=2.0, cap=120.0, max_age=1800.0)
NOW = 1_000_000.0
attempts = st.integers(1, 10_000)
jitters = st.floats(0, 1, exclude_max=True)
waits = st.floats(0, 10_000)


@pytest.mark.parametrize(
    "expires_at, gives_up_at",
    [(None, 1800.0), (60.0, 60.0), (1800.0, 1800.0), (86400.0, 1800.0), (-5.0, -5.0)],
)
def test_trying_ends_with_the_age_or_with_the_time_to_live_if_that_is_sooner(
    expires_at: float | None, gives_up_at: float
) -> None:
    expiry = None if expires_at is None else NOW + expires_at
    assert POLICY.gives_up_at(NOW, expiry) == NOW + gives_up_at


@pytest.mark.parametrize("attempt, window", [(1, 2), (2, 4), (3, 8), (6, 64), (7, 120), (8, 120), (5000, 120)])
def test_the_wait_is_spread_over_a_window_that_doubles_up_to_a_cap(attempt: int, window: float) -> None:
    def wait(jitter: float) -> float:
        due_at = POLICY.next_try(attempt, now=NOW, gives_up_at=NOW + 1800, jitter=lambda: jitter)
        assert due_at is not None
        return due_at - NOW

    assert [wait(jitter) for jitter in (0.0, 0.5, 1.0)] == [0, window / 2, window]


@given(attempts, jitters, waits)
def test_it_is_never_earlier_than_the_service_asked_and_at_most_a_second_later(
    attempt: int, jitter: float, retry_after: float
) -> None:
    due_at = POLICY.next_try(attempt, now=NOW, gives_up_at=float("inf"), retry_after=retry_after, jitter=lambda: jitter)
    assert due_at is not None
    assert NOW + retry_after <= due_at <= NOW + retry_after + 1


@given(attempts, jitters, st.none() | waits, waits)
def test_nothing_is_tried_at_or_after_the_end(
    attempt: int, jitter: float, retry_after: float | None, left: float
) -> None:
    due_at = POLICY.next_try(attempt, now=NOW, gives_up_at=NOW + left, retry_after=retry_after, jitter=lambda: jitter)
    assert due_at is None or NOW <= due_at < NOW + left


def test_a_service_that_asks_for_more_than_is_left_is_not_tried_again() -> None:
    assert POLICY.next_try(1, now=NOW, gives_up_at=NOW + 60, retry_after=61) is None


def test_jitter_is_random_unless_said() -> None:
    tries = {POLICY.next_try(5, now=NOW, gives_up_at=NOW + 1800) for _ in range(50)}
    assert len(tries) > 40
    assert all(due_at is not None and NOW <= due_at <= NOW + 32 for due_at in tries)
