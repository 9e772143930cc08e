"""Without a collector no span, no id and no part of one is made for an event: what runs of tracing is seen, not timed."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

from bridge.app import Daemon
from bridge.observe.tracing import traces
from sandbox.services import PushServices
from tests.bridge.examples import read
from tests.bridge.test_app import configuration, running, services, until
from tests.fakes.collector import Collector

__all__ = ["services"]

EVENTS = 5
FOLDER = str(Path(traces.__file__).parent)


@contextmanager
def calls_of_tracing() -> Iterator[Counter[str]]:
    """Each call of a function of the folder, by name, while it lasts; on this thread, whose loop the daemon runs on."""
    calls = Counter[str]()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(FOLDER):
            calls[frame.f_code.co_name] += 1

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def calls_of(directory: Path, services: PushServices, tracing: dict[str, Any]) -> Counter[str]:
    """What of tracing is called while events, all of which name their trace, become pushes that arrive."""
    bridge, *others = configuration(services)
    whole = yaml.safe_load(bridge)
    whole["bridge"]["tracing"] = tracing
    anna = services.add_phone("anna", "fcmv1")
    async with running(Daemon(read(directory, yaml.safe_dump(whole), *others))) as bench:
        await bench.register(anna, "team:sales")
        await bench.post("Nobody joined support")  # until then its source may not be connected
        await until(lambda: bench.daemon.hub.pending == 0)
        parent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "rojo=1"}
        with calls_of_tracing() as calls:
            for number in range(EVENTS):
                answer = await bench.client.post("/in/hr", content=f"Eve{number} joined sales", headers=parent)
                assert answer.json()["outcome"] == "accepted"
            await until(lambda: len(anna.received) == EVENTS and bench.daemon.hub.pending == 0)
        return calls


@pytest.mark.slow
async def test_without_a_collector_tracing_hears_of_facts_and_does_nothing_for_events(
    services: PushServices, tmp_path: Path
) -> None:
    calls = await calls_of(tmp_path, services, {})
    takers = {take.__name__ for take in traces.Traces(version="", instance="", report=lambda _: None).takes.values()}
    assert calls.keys() <= takers, "nothing is called by a taker, and nothing of an event's own way is"
    assert calls["_events_stored"] == EVENTS, "one call a batch; each of these was one"


@pytest.mark.slow
async def test_with_a_collector_each_event_has_spans(services: PushServices, tmp_path: Path) -> None:
    async with Collector() as collector:
        calls = await calls_of(tmp_path, services, {"endpoint": collector.endpoint})
    assert calls["received"] == calls["decoded"] == calls["routed"] == EVENTS
    assert calls["child_of"] > EVENTS
    assert calls["_put"] > EVENTS
