"""Batches grow with a backlog, and a lone message waits for nobody."""

from connectors.servicebus.appetite import FetchSizer


def test_it_begins_with_one_and_doubles_with_every_request_that_is_filled_briskly() -> None:
    appetite = FetchSizer()
    sizes = []
    for _ in range(5):
        sizes.append(appetite.size)
        appetite.observe(appetite.size, appetite.size, seconds=0.01, round_trip=0.0)
    assert sizes == [1, 2, 4, 8, 16]


def test_a_request_that_was_not_filled_has_cost_waiting_so_the_next_is_for_one() -> None:
    appetite = FetchSizer()
    appetite.observe(64, 64, seconds=0.01, round_trip=0.0)
    appetite.observe(128, 100, seconds=0.3, round_trip=0.0)
    assert appetite.size == 1


def test_a_request_that_was_filled_slowly_was_too_large() -> None:
    appetite = FetchSizer()
    appetite.observe(64, 64, seconds=0.4, round_trip=0.0)
    assert appetite.size == 32
    appetite.observe(1, 1, seconds=20.0, round_trip=0.0)
    assert appetite.size == 1


def test_a_far_away_broker_is_not_taken_for_an_idle_one() -> None:
    appetite = FetchSizer()
    appetite.observe(1, 1, seconds=0.35, round_trip=0.3)
    assert appetite.size == 2


def test_a_request_held_small_for_want_of_room_does_not_shrink_it() -> None:
    appetite = FetchSizer()
    appetite.observe(256, 256, seconds=0.05, round_trip=0.0)
    appetite.observe(3, 3, seconds=0.01, round_trip=0.0)
    assert appetite.size == 512
