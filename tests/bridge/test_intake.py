"""Sources are exchanged whole or not at all, and none is left behind when the process stops meanwhile."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.config.models.document import Settings
from bridge.config.models.sources import SourceSettings
from bridge.errors import StoppingError
from bridge.intake.manager import RunningSource, SourceManager
from bridge.intake.supervisor import Supervisor
from connectors.base import ACK, Disposition, Message
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.sources import ScriptedSource
from tests.fakes.virtual_time import in_virtual_time

BATCH = [Message(source="a", body=b"1")]


def settings(directory: Path, *names: str, path: str = "/in") -> Settings:
    sources = [f"  {name}: {{ http: {{ path: {path}/{name} }}, map: {{ id: x }} }}" for name in names]
    return read(directory, "\n".join(["sources:", *sources] if sources else []))


class Bench:
    """An intake over scripted sources, whose batches take so many seconds to the store."""

    def __init__(self, *, takes: float = 8) -> None:
        self._takes = takes
        self.sources: list[ScriptedSource] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.exchanges = 0
        self.intake = SourceManager(self._build, start=self._start)

    def exchanged(self) -> None:
        self.exchanges += 1

    def _build(self, name: str, source: SourceSettings, settings: Settings) -> RunningSource:
        if name == "broken":
            raise ValueError("it cannot be built")
        self.sources.append(ScriptedSource(name, receives=[BATCH]))
        supervisor = Supervisor(self.sources[-1], self._handle, capacity=lambda: 10, observer=FakeIntakeObserver())
        return RunningSource(source=self.sources[-1], supervisor=supervisor)

    async def _handle(self, messages: Sequence[Message]) -> Sequence[tuple[Message, Disposition]]:
        await asyncio.sleep(self._takes)
        return [(message, ACK) for message in messages]

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]


@in_virtual_time
async def test_a_source_that_cannot_be_built_changes_nothing(tmp_path: Path) -> None:
    bench = Bench()
    await bench.intake.apply(settings(tmp_path, "a"), between=bench.exchanged)
    with pytest.raises(ValueError, match="cannot be built"):
        await bench.intake.apply(settings(tmp_path, "broken"), between=bench.exchanged)
    assert bench.exchanges == 1
    assert [inlet.source.name for inlet in bench.intake] == ["a"]
    assert not bench.tasks[0].done()
    await bench.intake.stop(20)


@in_virtual_time
async def test_one_that_goes_settles_what_it_has_before_the_next_one_comes(tmp_path: Path) -> None:
    bench = Bench()
    await bench.intake.apply(settings(tmp_path, "a"), between=bench.exchanged)
    await asyncio.sleep(1)
    changes = await bench.intake.apply(settings(tmp_path, "a", path="/other"), between=bench.exchanged)
    assert changes == (["a"], ["a"])
    assert [len(source.settled) for source in bench.sources] == [1, 0]
    await bench.intake.stop(20)
    assert all(task.done() for task in bench.tasks)


@in_virtual_time
async def test_a_stop_in_the_middle_of_an_exchange_leaves_no_source_running(tmp_path: Path) -> None:
    bench = Bench()
    await bench.intake.apply(settings(tmp_path, "a", "b"), between=bench.exchanged)
    await asyncio.sleep(1)
    exchanging = asyncio.create_task(bench.intake.apply(settings(tmp_path, "b", "c"), between=bench.exchanged))
    await asyncio.sleep(1)
    await bench.intake.stop(20)
    with pytest.raises(StoppingError):
        await exchanging
    assert bench.exchanges == 1
    assert [source.name for source in bench.sources] == ["a", "b", "c"]
    assert [len(source.settled) for source in bench.sources] == [1, 1, 0]
    assert all(task.done() for task in bench.tasks)
    with pytest.raises(StoppingError):
        await bench.intake.apply(settings(tmp_path, "d"), between=bench.exchanged)
    assert len(bench.tasks) == 2


@in_virtual_time
async def test_a_stop_takes_no_longer_for_an_exchange_under_way(tmp_path: Path) -> None:
    bench = Bench(takes=3600)
    await bench.intake.apply(settings(tmp_path, "a", "b"), between=bench.exchanged)
    await asyncio.sleep(1)
    exchanging = asyncio.create_task(bench.intake.apply(settings(tmp_path, "b"), between=bench.exchanged))
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await bench.intake.stop(20)
    assert asyncio.get_running_loop().time() - began <= 20
    with pytest.raises(StoppingError):
        await exchanging
    assert all(task.done() for task in bench.tasks)
