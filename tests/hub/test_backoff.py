"""Waits between tries."""

from hub.backoff import Backoff, doubled


def test_waits_double_up_to_the_longest_and_begin_again_once_the_thing_has_worked() -> None:
    backoff = Backoff(first=0.5, longest=3.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


def test_a_count_of_tries_however_large_is_a_wait() -> None:
    assert doubled(10**6, first=0.001, longest=60.0) == 60.0
