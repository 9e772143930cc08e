"""A stage of the daemon's work that stands still is named within two minutes, and it alone; no user sees the heartbeat."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.admin.health import heartbeat_parts, is_ready, lines
from bridge.heartbeat import Heartbeat, RouteBeat, stages_of
from bridge.housekeeping import Housekeeping
from bridge.intake.offload import Offload
from bridge.observe.facts import HeartbeatFact, StagePassed, StageStalled, StageWorks
from bridge.observe.metrics import Metrics
from bridge.observe.stages import HeartbeatStage
from bridge.observe.telemetry import Telemetry
from bridge.reports.follow_ups import FollowUpLoop
from bridge.reports.sinks import SinkManager
from hub.errors import StoreError
from hub.facts import Crashed
from hub.store.contracts.telemetry import TallyKind
from rules.engine import RuleSet
from tests.bridge.examples import read
from tests.fakes.clock import FakeClock
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.running import QUICK, Running

PATIENCE = 60.0
"""Seconds of real time until a stage that works has answered; it takes a moment."""
SETTINGS = "hubs: { app: {} }"


class Told:
    """The facts of a heartbeat."""

    def __init__(self) -> None:
        self.facts: list[HeartbeatFact] = []
        self.passed: set[HeartbeatStage] = set()

    def observe(self, fact: HeartbeatFact) -> None:
        if isinstance(fact, StagePassed):
            self.passed.add(fact.stage)
        else:
            self.facts.append(fact)

    async def until_passed(self, stages: set[HeartbeatStage]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not stages <= self.passed:
                await asyncio.sleep(0.005)


async def never(*_: Any, **__: Any) -> None:
    await asyncio.Event().wait()


class Bench:
    """A hub at work, the loops of the bridge beside it, and a heartbeat by a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        self.running = Running(directory / "hub.db", timing=replace(QUICK, books_every=0.01))
        hub = self.running.hub
        settings = read(directory, SETTINGS)
        self.offload = Offload()
        self.told, self.clock = Told(), FakeClock()
        self.tasks: list[asyncio.Task[None]] = []
        self.sinks = SinkManager(hub.store, observer=self.told, start=self.start, troubles={}, look_every=0.01)  # type: ignore[arg-type]
        self.follow_ups = FollowUpLoop(hub.store, observer=self.told)  # type: ignore[arg-type]
        self.housekeeping = Housekeeping(hub, settings=lambda: settings, observer=self.told, every=0.01)  # type: ignore[arg-type]
        self.heartbeat = Heartbeat(
            stages_of(
                settings,
                hub,
                offload=self.offload,
                sinks=self.sinks.pulse.felt,
                follow_ups=self.follow_ups.pulse.felt,
                housekeeping=self.housekeeping.pulse.felt,
            ),
            observer=self.told,
            clock=self.clock,
            wall=self.clock,
        )

    def start(self, work: Any, name: str) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        return task

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Bench"]:
        await self.running.start()
        for work in (self.sinks.run(), self.follow_ups.run(), self.housekeeping.run()):
            self.start(work, "loop")
        try:
            yield self
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self.running.stop()

    async def minute(self, answering: set[HeartbeatStage], *, seconds: float = 60.0) -> None:
        """A beat that these stages pass, and the time until the next."""
        self.told.passed.clear()
        self.heartbeat.beat()
        await self.told.until_passed(answering)
        self.clock.advance(seconds)
        self.heartbeat.look(60.0)


ALL = set(HeartbeatStage)
Fault = Callable[[Bench], Awaitable[None]]


def hanging(operation: str, of: Callable[[Bench], object] = lambda bench: bench.running.store) -> Fault:
    """The store, or another part, does not answer to one operation; returns when it is asked for it."""

    async def fault(bench: Bench) -> None:
        asked = asyncio.Event()

        async def hang(*_: Any, **__: Any) -> None:
            asked.set()
            await never()

        setattr(of(bench), operation, hang)
        async with asyncio.timeout(PATIENCE):
            await asked.wait()

    return fault


async def accept_hangs(bench: Bench) -> None:
    bench.running.store.accept = never  # type: ignore[method-assign, assignment]  # the heartbeat itself is who asks


async def follow_up_hangs(bench: Bench) -> None:
    bench.follow_ups._is_asked = True  # so that it looks each second
    await hanging("follow_up")(bench)


async def offload_blocked(bench: Bench) -> None:
    blocked = threading.Event()
    bench.start(
        bench.offload.run(blocked.wait), "a large message that never ends"
    )  # a call into C: it cannot be stopped
    bench.start(_released(blocked), "its end")


async def _released(blocked: threading.Event) -> None:
    try:
        await never()
    finally:
        blocked.set()


async def one_push_under_way(bench: Bench) -> None:
    await bench.running.hub.put_installation(HUB, installation("ann", "news"))
    await bench.running.hub.accept([arrival(notification("news"), event_id="e-1")])
    await bench.running.fcm.received(1)


async def push_unanswered(bench: Bench) -> None:
    bench.running.fcm.hold()
    await one_push_under_way(bench)


async def record_hangs(bench: Bench) -> None:
    push = bench.start(one_push_under_way(bench), "a push")
    await hanging("record")(bench)
    await push


async def probe_hangs(bench: Bench) -> None:
    bench.running.store.failures["backlog"] = 10**9
    await hanging("probe")(bench)


FAULTS: dict[HeartbeatStage, Fault] = {
    HeartbeatStage.ROUTE: offload_blocked,
    HeartbeatStage.STORE: accept_hangs,
    HeartbeatStage.CLAIM: hanging("take"),
    HeartbeatStage.SEND: push_unanswered,
    HeartbeatStage.RECORD: record_hangs,
    HeartbeatStage.SUM: hanging("sum_up"),
    HeartbeatStage.COUNT: hanging("backlog"),
    HeartbeatStage.BOOKS: hanging("account"),
    HeartbeatStage.WATCH: probe_hangs,
    HeartbeatStage.TEND: hanging("tend", lambda bench: bench.running.store._outbox),
    HeartbeatStage.QUOTAS: hanging("known_quotas"),
    HeartbeatStage.SINKS: hanging("bound_sinks"),
    HeartbeatStage.FOLLOW_UPS: follow_up_hangs,
    HeartbeatStage.HOUSEKEEPING: hanging("forget_ended"),
}


def test_each_stage_has_a_fault() -> None:
    assert FAULTS.keys() == ALL


@pytest.mark.slow
@pytest.mark.parametrize("stage", HeartbeatStage, ids=lambda stage: stage.value)
async def test_a_stage_that_stands_still_is_named_within_two_minutes_and_no_other(
    tmp_path: Path, stage: HeartbeatStage
) -> None:
    bench = Bench(tmp_path)
    async with bench.at_work():
        await FAULTS[stage](bench)
        others = ALL - {stage}
        await bench.minute(others)
        await bench.minute(others, seconds=46.0)
        assert set(bench.heartbeat.stalled) == {stage}
        stalled = [fact for fact in bench.told.facts if isinstance(fact, StageStalled)]
        assert [fact.stage for fact in stalled] == [stage]
        assert stalled[0].seconds < 120
        parts = heartbeat_parts(bench.heartbeat.stalled)
        assert [line.partition(" (since")[0] for line in lines(parts)] == [
            f"heartbeat {stage.value}: stalled: {stage.meaning}"
        ]
        assert is_ready(parts), "a restart by the orchestrator would take up the same work"


@pytest.mark.slow
async def test_a_hub_at_work_passes_every_beat(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.at_work():
        await one_push_under_way(bench)
        for _ in range(3):
            await bench.minute(ALL)
        assert not bench.heartbeat.stalled
        assert not [fact for fact in bench.told.facts if isinstance(fact, StageStalled | Crashed)]


async def test_no_row_count_or_metric_of_users_knows_of_a_beat(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    metrics = Metrics(version="1", sources=["orders"], rules=["paid"], hubs=[HUB])
    telemetry = Telemetry(metrics)
    bench.running.hub._observer = telemetry
    async with bench.at_work():
        store = bench.running.hub.store
        before = await metrics.exposition()
        for _ in range(2):
            await bench.minute(ALL)
        after = await metrics.exposition()
        assert _ours(after) == _ours(before)
        assert not (await store.notifications(limit=10)).items
        assert not (await store.journal(limit=10)).items
        assert not (await store.letters(limit=10)).items
        assert not (await store.audit(limit=10)).items
        assert not await store.tallies(TallyKind.NOTIFICATION, first=0, last=10**6)
        states = (await store.queue_states()).values()
        assert sum(state.ready + state.in_hand + state.delayed for state in states) == 0
        assert not await store.registrations_by_platform()
        observer = bench.running.observer
        assert [*observer.claims, *observer.states, *observer.sends, *observer.outcomes] == []


def _ours(exposition: bytes) -> list[bytes]:
    of_others = (b"python_", b"process_", b"pushbridge_books_checked_")
    return [line for line in exposition.splitlines() if not line.startswith(of_others)]


class Scripted:
    """A heartbeat of one stage, which does what the test says."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self.clock, self.told = FakeClock(), Told()
        self.work = work
        self.heartbeat = Heartbeat(
            {HeartbeatStage.STORE: lambda: self.work()}, observer=self.told, clock=self.clock, wall=self.clock
        )

    async def after(self, seconds: float) -> None:
        self.heartbeat.beat()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.clock.advance(seconds)
        self.heartbeat.look(60.0)


async def at_once() -> None:
    return


async def test_a_stage_is_named_once_and_told_again_when_it_works() -> None:
    bench = Scripted(never)
    for _ in range(4):
        await bench.after(60)
    assert bench.told.facts == [StageStalled(stage=HeartbeatStage.STORE, seconds=120.0)]
    since = bench.heartbeat.stalled[HeartbeatStage.STORE]
    assert since == bench.clock() - 240
    for task in bench.heartbeat._under_way.values():
        task.cancel()
    await asyncio.sleep(0)
    bench.work = at_once
    await bench.after(0)
    assert bench.told.facts[1:] == [StageWorks(stage=HeartbeatStage.STORE, seconds=240.0)]
    assert not bench.heartbeat.stalled


@pytest.mark.parametrize("error", [StoreError("disk full"), ValueError("a defect")], ids=["the store", "a defect"])
async def test_a_stage_that_fails_does_not_pass_and_is_tried_again(error: Exception) -> None:
    async def fail() -> None:
        raise error

    bench = Scripted(fail)
    await bench.after(60)
    await bench.after(60)
    assert set(bench.heartbeat.stalled) == {HeartbeatStage.STORE}
    assert sum(isinstance(fact, Crashed) for fact in bench.told.facts) == (2 if isinstance(error, ValueError) else 0)


async def test_time_in_which_the_whole_process_stood_still_is_no_stages() -> None:
    bench = Scripted(at_once)
    await bench.after(5)
    bench.clock.advance(3600)  # suspended
    bench.heartbeat.look(60.0)
    assert not bench.heartbeat.stalled


async def test_the_event_goes_the_way_of_large_ones_and_an_unexpected_end_is_no_answer(tmp_path: Path) -> None:
    settings, offload = read(tmp_path, SETTINGS), Offload()
    work_done: list[object] = []
    run = offload.run

    async def noted(work: Callable[[], Any]) -> Any:
        work_done.append(work)
        return await run(work)

    offload.run = noted  # type: ignore[method-assign]
    beat = RouteBeat(settings, Running(tmp_path / "hub.db").hub, offload)
    await beat()
    assert len(work_done) == 1
    beat._pipeline._rules = RuleSet()
    with pytest.raises(RuntimeError, match="no_match"):
        await beat()
