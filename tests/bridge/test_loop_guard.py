"""A step that holds the event loop is measured, and named with its task, its stack and why it took so long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.dev import ConsoleRenderer
from structlog.testing import capture_logs

from bridge.admin.health import loop_part
from bridge.loop_guard import LoopGuard, calls_of
from bridge.observe.fact_log import FactLog
from bridge.observe.facts import LoopFact, LoopHeld, LoopStillHeld, LoopTurned
from bridge.observe.loop_holds import LoopHold
from bridge.observe.metrics import Metrics
from bridge.observe.telemetry import Telemetry

BOUND = 0.1


class Told:
    """The facts of a guard."""

    def __init__(self) -> None:
        self.holds: list[LoopHeld] = []
        self.still: list[LoopStillHeld] = []
        self.turns: list[float] = []

    def observe(self, fact: LoopFact) -> None:
        if isinstance(fact, LoopTurned):
            self.turns.append(fact.seconds)
        elif isinstance(fact, LoopHeld):
            self.holds.append(fact)
        else:
            self.still.append(fact)


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@asynccontextmanager
async def guarded(told: Told, **how: Any) -> AsyncIterator[LoopGuard]:
    guard = LoopGuard(observer=told, bound=lambda: BOUND, every=0.01, **how)
    running = asyncio.create_task(guard.run())
    await asyncio.sleep(0.05)
    try:
        yield guard
    finally:
        await asyncio.sleep(0.03)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


CAUSES: dict[str, tuple[Callable[[float], None], LoopHold]] = {
    "a step that waits": (time.sleep, LoopHold.WAITED),
    "a step that computes": (compute, LoopHold.COMPUTED),
}


@pytest.mark.parametrize("step, cause", CAUSES.values(), ids=CAUSES)
async def test_a_step_of_300_ms_is_measured_and_named(step: Callable[[float], None], cause: LoopHold) -> None:
    async def greedy() -> None:
        step(0.3)

    told = Told()
    async with guarded(told) as guard:
        await asyncio.create_task(greedy(), name="fraud scores")
    hold = max(told.holds, key=lambda each: each.seconds)
    assert hold.seconds >= 0.25
    assert max(told.turns) == hold.seconds
    assert hold.task.startswith("fraud scores (")
    assert hold.task.endswith("greedy)")
    assert any("greedy" in call and call.startswith(__name__) for call in hold.stack[:2]), hold.stack
    assert hold.cause is cause
    assert guard.held_lately == (sum(each.seconds for each in told.holds), told.holds[-1])


async def test_a_loop_that_turns_is_measured_and_no_hold_is_told() -> None:
    told = Told()
    async with guarded(told):
        await asyncio.sleep(0.1)
    assert len(told.turns) > 3
    assert [hold for hold in told.holds if hold.cause is not LoopHold.STOPPED] == []  # a busy machine may stop anybody


async def test_a_hold_that_does_not_end_is_told_before_its_end() -> None:
    told = Told()
    seen_after: list[int] = []

    async def hangs() -> None:
        time.sleep(0.6)
        seen_after.append(len(told.still))

    async with guarded(told, still_held=0.3):
        await asyncio.create_task(hangs(), name="hangs")
    assert seen_after == [1], "while it was held, and once"
    assert told.still[0].seconds >= 0.3
    assert any("hangs" in call for call in told.still[0].stack)


def held(seconds: float = 0.3, cause: LoopHold = LoopHold.COMPUTED) -> LoopHeld:
    return LoopHeld(seconds=seconds, cpu_seconds=0.2, cause=cause, task="hub", stack=["a:1 f", "b:2 g"])


def test_holds_are_counted_by_cause_and_the_lag_has_its_bound_as_an_edge() -> None:
    metrics = Metrics(version="1", sources=[], rules=[], hubs=[])
    telemetry = Telemetry(metrics)
    telemetry.observe(held())
    telemetry.observe(LoopTurned(seconds=0.3))
    telemetry.observe(LoopTurned(seconds=0.0))
    value = metrics.registry.get_sample_value
    assert value("pushbridge_event_loop_held_seconds_total", {"cause": "computed"}) == 0.3
    assert value("pushbridge_event_loop_held_seconds_total", {"cause": "waited"}) == 0
    assert value("pushbridge_event_loop_lag_seconds_bucket", {"le": "0.2"}) == 1
    assert value("pushbridge_event_loop_lag_seconds_count") == 2


def test_holds_at_one_place_are_a_line_in_ten_seconds_that_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((100.0, 100.5, 101.0, 111.0))
    monkeypatch.setattr("bridge.observe.fact_log.monotonic", lambda: next(times))
    with capture_logs() as lines:
        telemetry = Telemetry(FactLog())
        for _ in range(4):
            telemetry.observe(held())
    first, second = lines
    assert (first["event"], first["task"], first["calls"]) == ("the event loop was held", "hub", ["a:1 f", "b:2 g"])
    assert (first["seconds"], first["cpu_seconds"], first["cause"]) == (0.3, 0.2, "computed")
    assert (second["times"], "times" in first) == (3, False)
    # A field named `stack` is a text to what writes for people: a list there ended the daemon.
    assert "a:1 f" in ConsoleRenderer(colors=False)(None, "warning", dict(first))


def test_its_part_says_so_once_a_tenth_of_a_minute_was_lost() -> None:
    assert loop_part(0.0, None).ok
    assert loop_part(5.9, held()).ok
    part = loop_part(6.1, held())
    assert (part.ok, part.required) == (False, False)
    assert part.line == "event loop: held: for 6.1 s of the last minute, last by hub"


def test_a_frame_that_ends_while_it_is_looked_at_is_named_as_far_as_it_can_be() -> None:
    """It belongs to another thread, which goes on meanwhile."""
    outer: Any = SimpleNamespace(
        f_globals={"__name__": "app"}, f_lineno=7, f_code=SimpleNamespace(co_qualname="main"), f_back=None
    )
    ended: Any = SimpleNamespace(
        f_globals=None, f_lineno=None, f_code=SimpleNamespace(co_qualname="work"), f_back=outer
    )
    assert calls_of(ended) == ("?:None work", "app:7 main")
