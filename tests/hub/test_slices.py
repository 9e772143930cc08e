"""Long work on the event loop lets others run, and lets them get on."""

import asyncio

from hub.precedence import Precedence
from hub.slices import SHORT_SLICE, SLICE, TimeSlice

_STEPS = 10
"""Turns of the loop that it takes to answer a request: each step wakes the next."""


class _Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_request_that_takes_ten_turns_waits_for_three_slices_of_long_work() -> None:
    clock = _Clock()
    turn = TimeSlice(clock=clock)
    answered = asyncio.Event()

    async def answer() -> None:
        for _ in range(_STEPS):
            await asyncio.sleep(0)
        answered.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        while not answered.is_set():
            clock.now += SLICE / 10  # a step of the work
            await turn.yield_if_spent()
    assert clock.now <= 3.2 * SLICE


async def test_work_that_is_within_its_slice_keeps_the_loop() -> None:
    clock = _Clock()
    turn = TimeSlice(clock=clock)
    others = asyncio.ensure_future(asyncio.sleep(0))
    clock.now += SLICE
    await turn.yield_if_spent()
    assert not others.done()
    await others


async def test_long_work_stands_back_for_a_light_flow_after_a_short_slice() -> None:
    clock = _Clock()
    precedence = Precedence(patience=3600.0, clock=clock)
    precedence.did("flood", 1000)
    turn = TimeSlice(precedence=precedence, flow="flood", clock=clock)
    with precedence.ahead("calls"):
        clock.now += SHORT_SLICE
        await turn.yield_if_spent()  # the slice is not over
        clock.now += SHORT_SLICE
        work = asyncio.ensure_future(turn.yield_if_spent())
        await asyncio.sleep(0)
        assert not work.done()
    await work


def _after_a_light_flow(clock: _Clock) -> Precedence:
    """A flood, and a request of another flow that has ended."""
    precedence = Precedence(clock=clock)
    precedence.did("flood", 1000)
    precedence.did("calls", 1)
    clock.now += 0.1
    precedence.did("flood", 100)
    return precedence


async def test_a_request_of_a_light_flow_waits_for_a_short_slice_until_it_is_seen() -> None:
    clock = _Clock()
    turn = TimeSlice(precedence=_after_a_light_flow(clock), flow="flood", clock=clock)
    seen = asyncio.Event()
    began = clock.now

    async def take() -> None:
        await asyncio.sleep(0)  # read from its socket, and handed to its source
        seen.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        while not seen.is_set():
            clock.now += SHORT_SLICE / 5  # a step of the work
            await turn.yield_if_spent()
    assert clock.now - began <= 1.3 * SHORT_SLICE


async def test_where_no_light_flow_has_been_for_seconds_a_slice_is_long() -> None:
    clock = _Clock()
    precedence = _after_a_light_flow(clock)
    clock.now += 5.0
    precedence.did("flood", 1000)
    turn = TimeSlice(precedence=precedence, flow="flood", clock=clock)
    others = asyncio.ensure_future(asyncio.sleep(0))
    clock.now += 0.9 * SLICE
    await turn.yield_if_spent()
    assert not others.done()
    await others


async def test_a_light_flow_that_waits_for_others_of_its_kind_keeps_its_slice() -> None:
    clock = _Clock()
    turn = TimeSlice(precedence=_after_a_light_flow(clock), flow="calls", clock=clock)
    others = asyncio.ensure_future(asyncio.sleep(0))
    clock.now += 0.9 * SLICE
    await turn.yield_if_spent()
    assert not others.done()
    await others


async def test_work_of_a_light_flow_keeps_its_slice() -> None:
    clock = _Clock()
    precedence = Precedence(patience=3600.0, clock=clock)
    precedence.did("flood", 1000)
    turn = TimeSlice(precedence=precedence, flow="calls", clock=clock)
    with precedence.ahead("calls"):
        clock.now += SLICE
        work = asyncio.ensure_future(turn.yield_if_spent())
        await asyncio.sleep(0)
        assert work.done()
