"""The daemon's heartbeat: every minute an event that no user sees goes through each stage, up to the wire and without it.

A stage proves that it goes on by doing its work once: the store writes, the loops that claim, record, count and tidy come
to their next turn. A stage that does not answer is named within two minutes. No row of a user's table holds the event.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import orjson

from bridge.config.models.document import Settings
from bridge.config.models.sources import SourceSettings
from bridge.intake.offload import Offload
from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import HeartbeatObserver, StagePassed, StageStalled, StageWorks
from bridge.observe.stages import HeartbeatStage
from bridge.wiring import route_of
from connectors.base import Message
from connectors.duration import seconds_in
from hub.acceptance import Ingest
from hub.engine import Hub
from hub.errors import StoreError
from hub.facts import Crashed
from hub.identity import joined
from rules.loader import load_rules
from rules.node import Mark, Node
from rules.problems import Problems
from rules.scope import HubScope, Scope

_PATIENCE = 0.75
"""Of the time between two beats, how much a stage has to answer: so that a stall is named before the second minute ends."""

_LOOKS = 12
"""Looks between two beats at who has not answered."""

Stages = Mapping[HeartbeatStage, Callable[[], Awaitable[None]]]


class Heartbeat:
    """Run `run` as a task. `stages` return as soon as each has done its work once.

    `every` is asked for the seconds between two beats. `stalled` has of each stage that does not answer since when, in
    seconds since 1970 UTC by `wall`; `clock` is monotonic.
    """

    def __init__(
        self,
        stages: Stages,
        *,
        observer: HeartbeatObserver,
        every: Callable[[], float] = lambda: 60.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stages = stages
        self._observer = observer
        self._every = every
        self._clock = clock
        self._wall = wall
        self._looked_at = clock()
        self._passed = dict.fromkeys(stages, self._looked_at)
        self._under_way: dict[HeartbeatStage, asyncio.Task[None]] = {}
        self.stalled: dict[HeartbeatStage, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        for stage in self._stages:
            self._observer.observe(
                StagePassed(stage=stage)
            )  # from the start on, so that one that never answers is named
        self._looked_at = self._clock()
        try:
            while True:
                every = self._every()
                for _ in range(_LOOKS):
                    await asyncio.sleep(every / _LOOKS)
                    self.look(every)
                self.beat()
        finally:
            for task in self._under_way.values():
                task.cancel()

    def beat(self) -> None:
        """Send an event on its way through each stage that has answered to the last one."""
        for stage, work in self._stages.items():
            if stage not in self._under_way:
                task = asyncio.create_task(self._pass(stage, work), name=f"heartbeat of {stage.value}")
                self._under_way[stage] = task

    def look(self, every: float) -> None:
        """Name stages that have not answered for too long, and those that answer again.

        Time in which the whole process stood still is no stage's: it could not answer.
        """
        now = self._clock()
        stood_still = max(0.0, now - self._looked_at - every)
        self._looked_at = now
        for stage, passed in self._passed.items():
            self._passed[stage] = passed = passed + stood_still
            silent = now - passed
            is_stalled = silent >= (1 + _PATIENCE) * every
            if is_stalled and stage not in self.stalled:
                self.stalled[stage] = self._wall() - silent
                self._observer.observe(StageStalled(stage=stage, seconds=silent))
            elif not is_stalled and (since := self.stalled.pop(stage, None)) is not None:
                self._observer.observe(StageWorks(stage=stage, seconds=max(0.0, self._wall() - since)))

    async def _pass(self, stage: HeartbeatStage, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreError:
            return  # reported by who watches the store; the next beat tries again
        except Exception as error:
            self._observer.observe(Crashed(work=f"the heartbeat of {stage.value}", error=error))
            return
        finally:
            del self._under_way[stage]
        self._passed[stage] = self._clock()
        self._observer.observe(StagePassed(stage=stage))


_NAME = "heartbeat"
_RULE = {
    "name": _NAME,
    "match": {"data": {"kind": _NAME}},
    "push": {"to": "heartbeat:{{ data.number }}", "with": {"text": "{{ data.number }}"}},
}
_FILLING = "x" * 32 * 1024
"""So much that the event is read and matched where large ones are: that way has a lock, a thread and a limit."""


class RouteBeat:
    """Has an event read, mapped, met by a rule and rendered, as large ones of a source are: beside the event loop."""

    def __init__(self, settings: Settings, hub: Hub, offload: Offload) -> None:
        source = SourceSettings.model_validate({"http": {"path": f"/{_NAME}"}, "map": {"id": "{{ data.number }}"}})
        problems = Problems()
        scope = Scope(sources=frozenset({_NAME}), hubs={_NAME: HubScope()}, default_hub=_NAME)
        rules = load_rules(_node([_RULE]), None, scope, problems, seconds_in=seconds_in)
        self._pipeline = Pipeline(
            {_NAME: route_of(_NAME, source, settings)}, rules, hub, observer=_Unseen(), offload=offload
        )
        self._numbers = count()

    async def __call__(self) -> None:
        body = orjson.dumps({"kind": _NAME, "number": f"n-{next(self._numbers)}", "filling": _FILLING})
        routed = await self._pipeline.route(Message(source=_NAME, body=body))
        if not routed.decision.intents:
            raise RuntimeError(f"the event has come to {routed.outcome.value}: {routed.detail}")


class _Unseen:
    """Nothing of a heartbeat is counted, logged or shown as an event."""

    def observe(self, fact: object) -> None:
        return


def _node(value: Any, key: str = "rules") -> Node:
    """A value as if it stood in a file."""
    here = Mark("", 1, 1)
    text = value if isinstance(value, str) else ""
    if isinstance(value, dict):
        value = {name: _node(each, f"{key}.{name}") for name, each in value.items()}
    elif isinstance(value, list):
        value = [_node(each, f"{key}[{number}]") for number, each in enumerate(value)]
    return Node(key=key, mark=here, key_mark=here, value=value, text=text, written=text)


class StoreBeat:
    """Has the hub accept an event that causes nothing and is known by its mark alone."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._source = joined("", "heartbeat", secrets.token_hex(8))  # no source of a configuration has an empty name
        self._numbers = count()

    async def __call__(self) -> None:
        await self._hub.accept([Ingest(source=self._source, event_id=str(next(self._numbers)), remember=True)])


def stages_of(
    settings: Settings,
    hub: Hub,
    *,
    offload: Offload,
    sinks: Callable[[], Awaitable[None]],
    follow_ups: Callable[[], Awaitable[None]],
    housekeeping: Callable[[], Awaitable[None]],
) -> Stages:
    """All stages; the last three are how the loops of the bridge prove that they turn."""
    return {
        HeartbeatStage.ROUTE: RouteBeat(settings, hub, offload),
        HeartbeatStage.STORE: StoreBeat(hub),
        **{HeartbeatStage(name): proof for name, proof in hub.stages.items()},
        HeartbeatStage.SINKS: sinks,
        HeartbeatStage.FOLLOW_UPS: follow_ups,
        HeartbeatStage.HOUSEKEEPING: housekeeping,
    }
