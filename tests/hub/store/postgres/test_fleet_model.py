"""Processes that come, die and change their configurations, in any order: each notification ends once.

The model knows which notifications were accepted and which have ended. Work is pushed by a process that has a sender for
the hub; a process never has what another may have, unless it was stopped for longer than its ownership.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pyroaring import BitMap

from hub.notification import Platform
from hub.outcome import State
from hub.store.contracts.outbox import Audience, Service, Work
from hub.work import Lane
from tests.brokers.postgres import Postgres
from tests.hub.examples import notification
from tests.hub.store.postgres.conftest import empty
from tests.hub.store.postgres.fleet import QUEUES, Fleet, Process
from tests.hub.store.suite.harness import begin, enqueue, went_well

T = TypeVar("T")
HUBS = ("red", "blue")
MAX_AGE = 1800.0
PROCESSES = st.integers(0, 2)


def services_of(hubs: set[str]) -> list[Service]:
    return [(hub, Platform.FCM) for hub in sorted(hubs)]


class FleetMachine(RuleBasedStateMachine):
    server: ClassVar[Postgres]
    schema: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self.fleet = Fleet(self.server.url(self.schema))
        self.stopped: set[int] = set()
        self.accepted: dict[str, str] = {}
        self.ended = Counter[str]()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(call)

    @initialize()
    def start(self) -> None:
        for _ in range(3):
            self.run(self.fleet.start(*services_of(set(HUBS))))
        self.run(self.fleet.settle())

    def teardown(self) -> None:
        """All go on, and each serves all: whatever was left comes to its end."""
        self.stopped.clear()
        try:
            for process in self.fleet.processes:
                process.services, process.hubs = services_of(set(HUBS)), HUBS
            for _ in range(12):
                self.wait(5)
                for number in range(len(self.fleet.processes)):
                    self.work(number)
                if len(self.ended) == len(self.accepted):
                    break
            assert self.ended == Counter(dict.fromkeys(self.accepted, 1))
            states = self.server.run("SELECT state, count(*) FROM notification GROUP BY state", database=self.schema)
            assert dict(states) == ({State.COMPLETED.value: len(self.accepted)} if self.accepted else {})
        finally:
            for process in self.fleet.processes:
                self.run(process.store.close())
            self._loop.close()
            empty(self.server, self.schema)

    @rule(number=PROCESSES, hub=st.sampled_from(HUBS), pages=st.integers(0, 2), at_once=st.booleans())
    def accept(self, number: int, hub: str, pages: int, at_once: bool) -> None:
        """By a process that knows the hub, as a rule of its configuration names it."""
        process = self.fleet.processes[number]
        if hub not in process.hubs:
            return
        one = notification(hub=hub)
        self.accepted[one.id] = hub
        if not at_once:
            self.run(enqueue(process.store, one))
            return
        for work in self.run(begin(process.store, one)):
            if pages:
                found = [(Platform.FCM, BitMap([n])) for n in range(pages * QUEUES // 4)]
                self.run(process.store.expand(work, Audience(pages=found)))
            else:
                self.run(self.push(process, [work]))

    @rule(number=PROCESSES)
    def work(self, number: int) -> None:
        """As the dispatcher does: what this process serves it pushes, and what it does not know it passes on."""
        process = self.fleet.processes[number]
        wanted = dict[Service | None, int]()
        wanted.update(dict.fromkeys(process.services, 1000))
        work = [
            *self.run(process.store.take(Lane.SINGLE, wanted | {None: 1000})),
            *self.run(process.store.take(Lane.BROADCAST, wanted)),
        ]
        mine = [piece for piece in work if piece.notification.hub in process.hubs]
        strange = [piece for piece in work if piece.notification.hub not in process.hubs]
        assert all(piece.service is None for piece in strange)
        self.run(self.push(process, mine))
        assert not self.run(process.store.pass_on(strange, waited=MAX_AGE))
        assert not self.run(process.store.take_orphans(process.services, 1000, waited=MAX_AGE))
        self.count(self.run(process.store.sum_up()).ended)

    async def push(self, process: Process, work: list[Work]) -> None:
        recorded = await process.store.record([went_well(piece) for piece in work])
        self.count(recorded.ended)

    def count(self, ended: Any) -> None:
        """Which have ended, the database says: it has to be as many more as were said to have ended."""
        if not sum(ended.values()):
            return
        rows = self.server.run(
            "SELECT encode(id, 'hex') FROM notification WHERE ended_at IS NOT NULL", database=self.schema
        )
        fresh = {id_ for (id_,) in rows} - self.ended.keys()
        assert len(fresh) == sum(ended.values())
        self.ended.update(fresh)

    @rule(number=PROCESSES, hubs=st.sets(st.sampled_from(HUBS)))
    def change(self, number: int, hubs: set[str]) -> None:
        """A configuration is rolled out."""
        process = self.fleet.processes[number]
        process.services, process.hubs = services_of(hubs), hubs

    @rule(number=PROCESSES)
    def stop(self, number: int) -> None:
        self.stopped = {number}

    @rule()
    def go_on(self) -> None:
        self.stopped.clear()

    @rule(seconds=st.sampled_from([1, 3, 12]))
    def wait(self, seconds: int) -> None:
        without = [self.fleet.processes[number] for number in self.stopped]
        for _ in range(seconds):
            self.run(self.fleet.pass_time(1, without=without))
            for process in self.fleet.processes:
                if process not in without:
                    self.run(process.store.tick())


@pytest.fixture(autouse=True)
def server(postgres: Postgres, schema: str) -> None:
    FleetMachine.server, FleetMachine.schema = postgres, schema


FleetMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
TestFleet = FleetMachine.TestCase
