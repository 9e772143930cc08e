"""What every source does under the faults of a network, with the supervisor that the daemon keeps it running by.

Subclass `FaultBehaviour` and give it a fixture `harness`. `docs/sources.md` shows which sources are tried by this.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Protocol, cast

import pytest

from bridge.intake import supervisor
from bridge.intake.supervisor import Supervisor
from bridge.observe.facts import IntakeFact, SourceChanged, SourceState
from connectors.base import ACK, Disposition, Message, Source
from connectors.errors import NotConnectedError
from hub.facts import Crashed
from tests.brokers.faulty_relay import Fault, FaultyRelay, Way
from tests.connectors.behaviour import bodies

PATIENCE = 90.0  # seconds; a source may find out by a heartbeat, and tries again after pauses that grow
STALL_AFTER = 30.0
_CONNECT = 6.0
AFTER = b'{"number": "after"}'


class Phase(StrEnum):
    """Where in the life of a connection a fault is."""

    HANDSHAKE = "handshake"
    SUBSCRIBE = "subscribe"
    IDLE = "idle"
    DELIVERY = "delivery"
    SETTLE = "settle"
    ANSWER = "answer to a settlement"


GARBLED = (Phase.HANDSHAKE, Phase.DELIVERY, Phase.ANSWER)
"""Where a server says other bytes than it means; a source says what it means."""
CASES = [
    *((fault, phase) for fault in (Fault.CUT, Fault.HALF_OPEN) for phase in Phase),
    *((Fault.GARBAGE, phase) for phase in GARBLED),
]


class FaultHarness(Protocol):
    """A server behind a relay, with something to read from that is a test's own."""

    relay: FaultyRelay

    def source(self) -> Source:
        """A source that reaches the server by the relay, not yet connected; it finds out about silence in seconds."""

    async def publish(self, bodies: Sequence[bytes]) -> None:
        """Make these messages wait; not by the relay."""


class Impatient:
    """A source that is given up while it connects, as by the supervisor, but after seconds."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT):
                await self._source.connect()
        except TimeoutError:
            raise NotConnectedError(f"no connection within {_CONNECT:g} s") from None


class Watched:
    """A source under a supervisor, and what came of its messages."""

    def __init__(self, source: Source, *, at_first: Callable[[], None] = lambda: None) -> None:
        self.source = source
        self.seen = Counter[bytes]()
        self.crashes: list[Exception] = []
        self.states: list[tuple[SourceState, str]] = []
        self._at_first = at_first
        self.supervisor = Supervisor(
            cast(Source, Impatient(source)), self._handle, capacity=lambda: 100, observer=self, stall_after=STALL_AFTER
        )

    async def _handle(self, messages: Sequence[Message]) -> Sequence[tuple[Message, Disposition]]:
        if not self.seen:
            self._at_first()
        self.seen.update(message.body for message in messages)
        return [(message, ACK) for message in messages]

    def observe(self, fact: IntakeFact) -> None:
        match fact:
            case SourceChanged(status=status):
                self.states.append((status.state, status.detail))
            case Crashed(error=error):
                self.crashes.append(error)

    async def until_running(self) -> None:
        while self.supervisor.status.state is not SourceState.RUNNING:
            await asyncio.sleep(0.02)

    async def until_seen(self, wanted: Sequence[bytes]) -> None:
        """Return once all of these came."""
        while not set(wanted) <= self.seen.keys():
            await asyncio.sleep(0.02)


async def until_empty(harness: FaultHarness) -> None:
    """Return once the server has no message left: what was taken and not settled comes to another source."""
    source = harness.source()
    await source.connect()
    try:
        async with asyncio.timeout(PATIENCE):
            while (await source.backlog()).messages != 0:
                messages = await source.receive(10)
                await source.settle([(message, ACK) for message in messages])
    finally:
        await source.close()


@asynccontextmanager
async def supervised(source: Source, *, at_first: Callable[[], None] = lambda: None) -> AsyncIterator[Watched]:
    watched = Watched(source, at_first=at_first)
    running = asyncio.create_task(watched.supervisor.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield watched
    except TimeoutError:
        raise AssertionError(f"not over within {PATIENCE:g} s: {watched.states}, seen {watched.seen}") from None
    finally:
        watched.supervisor.stop()
        await running
    assert watched.crashes == [], watched.states


@pytest.mark.slow
@pytest.mark.timeout(240)
class FaultBehaviour:
    """Whatever the network does, and wherever it does it: each message comes, is settled, and the source goes on."""

    @pytest.fixture(autouse=True)
    def first_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """How long the supervisor pauses is its own tests' subject; here each fault would wait for it."""
        monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.2)

    @pytest.mark.parametrize(("fault", "phase"), CASES)
    async def test_a_fault_costs_no_message(self, harness: FaultHarness, fault: Fault, phase: Phase) -> None:
        relay = harness.relay
        of = Way.CLIENT if phase is Phase.SETTLE else Way.SERVER
        wanted = bodies(6)
        if phase is not Phase.IDLE:
            await harness.publish(wanted)
        if phase is Phase.HANDSHAKE:
            relay.arm(fault)
        if phase is Phase.SUBSCRIBE:
            relay.arm(fault, at=await self._pieces_of_connecting(harness))
        settles = phase in (Phase.SETTLE, Phase.ANSWER)
        async with supervised(
            harness.source(), at_first=(lambda: relay.arm(fault, of=of)) if settles else lambda: None
        ) as watched:
            if phase in (Phase.IDLE, Phase.DELIVERY):
                await watched.until_running()
                relay.arm(fault)
            if phase is Phase.IDLE:
                await harness.publish(wanted)
            await relay.until_met()
            await harness.publish([AFTER])
            await watched.until_seen([*wanted, AFTER])
        await until_empty(harness)

    async def _pieces_of_connecting(self, harness: FaultHarness) -> int:
        source = harness.source()
        before = harness.relay.pieces[Way.SERVER]
        await source.connect()
        pieces = harness.relay.pieces[Way.SERVER] - before
        await source.close()
        return max(2, pieces)

    async def test_a_slow_server_costs_time_alone(self, harness: FaultHarness) -> None:
        harness.relay.is_slow = True
        wanted = bodies(6)
        await harness.publish(wanted)
        async with supervised(harness.source()) as watched:
            await watched.until_seen(wanted)
        await until_empty(harness)

    async def test_a_server_that_is_not_there_is_waited_for(self, harness: FaultHarness) -> None:
        harness.relay.refuse()
        wanted = bodies(6)
        await harness.publish(wanted)
        async with supervised(harness.source()) as watched:
            while not watched.states:
                await asyncio.sleep(0.02)
            assert watched.states[0][0] is SourceState.CONNECTING
            harness.relay.refuse(False)
            await watched.until_seen(wanted)
        await until_empty(harness)
