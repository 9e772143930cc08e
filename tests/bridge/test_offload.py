"""Long work beside the event loop: the loop goes on meanwhile, and the work ends at its limit."""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bridge.intake.offload import Offload, TimeLimitError


def for_ever() -> None:
    while True:
        pass


def keeping_errors() -> None:
    while True:
        try:
            for_ever()
        except Exception:
            continue


def failing() -> None:
    raise ValueError("its own")


async def test_the_value_of_the_work_is_returned_and_its_error_is_raised() -> None:
    offload = Offload()
    assert await offload.run(threading.current_thread) is not threading.main_thread()
    with pytest.raises(ValueError, match="its own"):
        await offload.run(failing)


@pytest.mark.parametrize("work", [for_ever, keeping_errors])
async def test_work_is_stopped_at_its_limit_and_the_next_one_runs(work: Callable[[], None]) -> None:
    offload = Offload(limit=0.05)
    with pytest.raises(TimeLimitError):
        await offload.run(work)
    assert await Offload(limit=30).run(lambda: 7) == 7
    assert await offload.run(lambda: 8) == 8


@pytest.mark.slow
async def test_the_loop_goes_on_while_the_work_runs() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count())
    with pytest.raises(TimeLimitError):
        await Offload(limit=0.5).run(for_ever)
    counting.cancel()
    assert turns > 20


async def test_one_piece_of_work_runs_at_a_time() -> None:
    running, most = 0, 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.005)
        running -= 1

    offload = Offload()
    await asyncio.gather(*(offload.run(work) for _ in range(5)))
    assert most == 1


@pytest.fixture
def interval() -> Iterator[float]:
    """That of the language; a daemon, which another test may have run in this process, has set a shorter one."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


async def test_garbage_is_not_looked_for_meanwhile_and_is_again_afterwards(interval: float) -> None:
    assert await Offload().run(gc.isenabled) is False
    assert await Offload().run(sys.getswitchinterval) < interval
    with pytest.raises(TimeLimitError):
        await Offload(limit=0.01).run(for_ever)
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval


async def test_who_is_cancelled_stops_the_work() -> None:
    offload = Offload()
    waiting = asyncio.create_task(offload.run(for_ever))
    while not any(thread.name == "pushbridge-offload" for thread in threading.enumerate()):
        await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(30):
        while any(thread.name == "pushbridge-offload" for thread in threading.enumerate()):
            await asyncio.sleep(0.001)
    assert await offload.run(lambda: 9) == 9


@pytest.mark.parametrize("pause", [0.0, 0.0002, 0.0005, 0.001, 0.002])
async def test_a_limit_that_comes_as_the_work_ends_is_one_or_the_other(pause: float) -> None:
    def work() -> int:
        time.sleep(pause)
        return 5

    offload = Offload(limit=0.001)
    for _ in range(30):
        with suppress(TimeLimitError):
            assert await offload.run(work) == 5
