"""A source whose messages name schemas waits for those that the registry does not give; time is virtual."""

import asyncio
from collections.abc import Sequence

from bridge.intake.message_schemas import Readable
from bridge.intake.supervisor import Supervisor
from bridge.observe.facts import SourceState
from connectors.base import ACK, NACK, Disposition, Message
from tests.bridge.examples import FakeIntakeObserver
from tests.fakes.sources import ScriptedSource
from tests.fakes.virtual_time import in_virtual_time


def message(body: bytes, *, lost_after: float = float("inf")) -> Message:
    return Message(source="orders", body=body, is_lost=lambda: asyncio.get_running_loop().time() >= lost_after)


class Bench:
    """A supervisor whose messages with the body `new` can be decoded once the registry `knows`."""

    def __init__(self, messages: Sequence[Message], *, sender_waits: bool = False) -> None:
        self.knows = False
        self.sender_waits = sender_waits
        self.source = ScriptedSource(receives=[messages], backlog=len(messages))
        self.told = FakeIntakeObserver()
        self.asked = 0
        self.supervisor = Supervisor(
            self.source,
            self.handle,
            capacity=lambda: 1000,
            observer=self.told,
            readable=self.readable,
            clock=asyncio.get_running_loop().time,
        )

    async def readable(self, messages: Sequence[Message]) -> Readable:
        self.asked += 1
        count = next((at for at, each in enumerate(messages) if each.body == b"new" and not self.knows), len(messages))
        missing = "" if count == len(messages) else "no schema 7 yet"
        return Readable(count=count, missing=missing, sender_waits=self.sender_waits)

    async def handle(self, messages: Sequence[Message]) -> list[tuple[Message, Disposition]]:
        return [(each, ACK) for each in messages]

    @property
    def settled(self) -> list[tuple[bytes, Disposition]]:
        return [(each.body, disposition) for batch in self.source.settled for each, disposition in batch]


@in_virtual_time
async def test_a_message_of_an_unknown_schema_waits_with_all_behind_it_and_is_no_stall() -> None:
    bench = Bench([message(b"old"), message(b"new"), message(b"behind")])
    running = asyncio.create_task(bench.supervisor.run())
    await asyncio.sleep(300)  # longer than the watchdog waits for progress
    status = bench.supervisor.status
    assert bench.settled == [(b"old", ACK)]
    assert (status.state, status.detail, status.ready) == (SourceState.AWAITING_SCHEMA, "no schema 7 yet", False)
    assert status.since < 2
    assert status.rebuilds == 0
    assert 100 < bench.asked <= 302
    assert bench.told.states == [(SourceState.RUNNING, ""), (SourceState.AWAITING_SCHEMA, "no schema 7 yet")]
    bench.knows = True
    await asyncio.sleep(3)
    assert bench.settled == [(b"old", ACK), (b"new", ACK), (b"behind", ACK)]
    assert status.state is SourceState.RUNNING
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_a_stop_gives_what_waits_back_at_once() -> None:
    bench = Bench([message(b"new"), message(b"behind")])
    running = asyncio.create_task(bench.supervisor.run())
    await asyncio.sleep(10)
    before = asyncio.get_running_loop().time()
    bench.supervisor.stop()
    await running
    assert asyncio.get_running_loop().time() - before < 0.1
    assert bench.settled == [(b"new", NACK), (b"behind", NACK)]


@in_virtual_time
async def test_what_the_broker_takes_back_while_it_waits_is_let_go() -> None:
    bench = Bench([message(b"new", lost_after=5), message(b"behind")])
    running = asyncio.create_task(bench.supervisor.run())
    await asyncio.sleep(10)
    assert bench.settled == [(b"behind", ACK)]
    assert bench.supervisor.status.state is SourceState.RUNNING
    bench.supervisor.stop()
    await running


@in_virtual_time
async def test_a_sender_that_waits_is_told_to_come_again() -> None:
    bench = Bench([message(b"old"), message(b"new")], sender_waits=True)
    running = asyncio.create_task(bench.supervisor.run())
    await asyncio.sleep(1)
    assert bench.settled == [(b"old", ACK), (b"new", NACK)]
    assert bench.supervisor.status.state is SourceState.RUNNING
    bench.supervisor.stop()
    await running
