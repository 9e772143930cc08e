"""What has little to do goes before what has much."""

import asyncio

import pytest

from hub.precedence import Precedence


class _Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def _beside_a_flood(clock: _Clock, *, patience: float = 3600.0) -> Precedence:
    """A source that has an event now and then, and a flood, which has all the patience that a test takes."""
    precedence = Precedence(patience=patience, clock=clock)
    precedence.did("flood", 1000)
    precedence.did("calls", 10)
    return precedence


@pytest.fixture
def precedence(clock: _Clock) -> Precedence:
    return _beside_a_flood(clock)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("done", "light"),
    [
        ({}, {"calls", "flood"}),  # nothing is known of either
        ({"calls": 1}, {"flood"}),  # alone: nobody would wait for it
        ({"calls": 10, "flood": 1000}, {"calls"}),
        ({"calls": 125, "flood": 875}, {"calls"}),
        ({"calls": 126, "flood": 874}, set()),
        ({"calls": 500, "flood": 500}, set()),
    ],
)
def test_a_flow_with_an_eighth_of_all_is_light(clock: _Clock, done: dict[str, int], light: set[str]) -> None:
    precedence = Precedence(clock=clock)
    for flow, amount in done.items():
        precedence.did(flow, amount)
    assert {flow for flow in ("calls", "flood") if precedence.is_light(flow)} == light
    assert not precedence.is_light(None)  # several flows


def test_a_flood_that_has_ended_is_forgotten_in_seconds(clock: _Clock, precedence: Precedence) -> None:
    for _ in range(8):
        clock.now += 1.0
        precedence.did("calls", 10)
    assert not precedence.is_light("calls")
    assert precedence.is_light("flood")


def test_a_flow_that_takes_more_than_its_share_is_not_light_any_more(clock: _Clock, precedence: Precedence) -> None:
    for _ in range(10):
        clock.now += 0.1
        precedence.did("flood", 10)
        precedence.did("calls", 30)
    assert not precedence.is_light("calls")


async def test_a_flood_waits_until_what_is_ahead_has_ended(precedence: Precedence) -> None:
    with precedence.ahead("calls"):
        assert precedence.is_asked("flood")
        tasks = [asyncio.ensure_future(precedence.give_way("flood"))]
        await _turns(3)
        assert not tasks[0].done()
    await asyncio.gather(*tasks)
    assert not precedence.is_asked("flood")


async def test_a_flood_goes_on_after_its_patience_though_something_is_ahead_for_ever(clock: _Clock) -> None:
    precedence = _beside_a_flood(clock, patience=0.001)
    with precedence.ahead("calls"):
        async with asyncio.timeout(30):
            for _ in range(3):
                await precedence.give_way("flood")


async def test_what_is_light_waits_for_nothing(precedence: Precedence) -> None:
    with precedence.ahead("calls"):
        assert not precedence.is_asked("calls")
        light = asyncio.ensure_future(precedence.give_way("calls"))
        await _turns(1)
        assert light.done()


async def test_nothing_waits_for_a_flood(precedence: Precedence) -> None:
    with precedence.ahead("flood"), precedence.ahead(None):
        assert not precedence.is_asked()
        await precedence.give_way()


async def test_nothing_waits_for_work_that_takes_long_itself(clock: _Clock, precedence: Precedence) -> None:
    with precedence.ahead("calls"):
        clock.now += 0.06
        assert not precedence.is_asked("flood")
        with precedence.ahead("calls"):  # the next event
            assert precedence.is_asked("flood")
        assert not precedence.is_asked("flood")


async def test_those_that_stood_back_go_on_one_a_turn(precedence: Precedence) -> None:
    with precedence.ahead("calls"):
        tasks = [asyncio.ensure_future(precedence.give_way("flood")) for _ in range(3)]
        await _turns(1)
    counts = []
    while not all(task.done() for task in tasks):
        await _turns(1)
        counts.append(sum(task.done() for task in tasks))
    assert {1, 2, 3} <= set(counts)


async def test_what_comes_later_does_not_overtake_what_stood_back(precedence: Precedence) -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        await precedence.give_way("flood")
        ended.append(number)

    async with asyncio.TaskGroup() as group:
        with precedence.ahead("calls"):
            for number in range(3):
                group.create_task(work(number))
            await _turns(1)
        group.create_task(work(3))
    assert ended == [0, 1, 2, 3]


async def test_one_that_is_cancelled_while_it_stands_back_lets_the_next_go(precedence: Precedence) -> None:
    with precedence.ahead("calls"):
        first, second = (asyncio.ensure_future(precedence.give_way("flood")) for _ in range(2))
        await _turns(1)
        first.cancel()
    await second
    assert first.cancelled()
