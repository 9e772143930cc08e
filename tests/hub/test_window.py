"""As many pieces are with a push service as it takes without letting them wait, and no more."""

import asyncio

import pytest

from hub.delivery.window import LONG, SHORT, PieceWindow


def settled(latency: float, each: float, *, rounds: int = 2000) -> list[int]:
    """The sizes, in the end, before a service that answers after `latency` and needs `each` seconds for a piece."""
    window, sizes, now = PieceWindow(most=100), [], 0.0
    for _ in range(rounds):
        takes = max(latency + each, window.size * each)
        now += takes / window.size
        window.took(takes, 40, now=now)
        sizes.append(window.size)
    return sizes[-100:]


def test_a_service_with_enough_to_do_gets_hardly_more_than_it_is_working_on() -> None:
    """2,000 pushes a second, answered after 10 ms: 40 pushes take 20 ms."""
    assert max(settled(0.010, 0.020)) <= 3


@pytest.mark.parametrize("latency", [0.05, 0.2, 1.0])
def test_a_service_that_is_only_far_away_gets_as_many_as_may_be(latency: float) -> None:
    assert min(settled(latency, 0.0001)) == 100


def test_a_service_that_is_near_and_quick_is_not_slowed_down() -> None:
    assert min(settled(0.0005, 0.0008)) > 10


def test_a_service_that_has_become_slower_for_good_gets_its_pieces_side_by_side_again() -> None:
    window = PieceWindow(most=100)
    for _ in range(100):
        window.took(0.04, 40, now=0.0)
    for _ in range(200):
        window.took(0.3, 40, now=0.0)
    assert window.size == 1
    for _ in range(1000):
        window.took(0.3, 40, now=0.0)
    assert window.size > 90


def test_pieces_are_longer_where_the_service_takes_many_pushes_a_second() -> None:
    window = PieceWindow(most=100)
    for tenth in range(1, 11):
        window.took(0.01, 200, now=tenth / 10)
    assert window.length == SHORT
    for tenth in range(11, 21):
        window.took(0.01, 800, now=tenth / 10)
    assert window.length == LONG
    for tenth in range(21, 61):
        window.took(0.01, 200, now=tenth / 10)
    assert window.length == SHORT


async def test_places_are_given_in_order_and_come_free_though_a_piece_fails_or_is_cancelled() -> None:
    window, began = PieceWindow(most=100), []
    gates = [asyncio.Event() for _ in range(4)]

    async def piece(number: int) -> None:
        async with window.place():
            began.append(number)
            await gates[number].wait()
            if number == 0:
                raise ZeroDivisionError

    pieces = [asyncio.create_task(piece(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert began == [0]
    pieces[1].cancel()
    gates[0].set()
    await asyncio.wait(pieces[:2])
    await asyncio.sleep(0)
    assert began == [0, 2]
    window.took(0.001, 40, now=0.0)
    gates[2].set()
    gates[3].set()
    await asyncio.wait(pieces)
    assert began == [0, 2, 3]
