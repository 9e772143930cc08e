"""What every publisher does under the faults of a network, with the relay that the daemon publishes by.

Subclass `PublisherFaults` and give it a fixture `harness`.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol

import pytest

from bridge import relay
from bridge.relay import Relay
from connectors.base import OutMessage, Publisher
from tests.brokers.faulty_relay import Fault, FaultyRelay, Way
from tests.connectors.behaviour import bodies

PATIENCE = 90.0  # seconds; a publisher finds out by a limit of time, and tries again after pauses that grow


class Phase(StrEnum):
    """Where in the life of a connection a fault is."""

    HANDSHAKE = "handshake"
    PUBLISH = "publish"
    CONFIRM = "confirm"


CASES = [
    (fault, phase)
    for fault in (Fault.CUT, Fault.HALF_OPEN, Fault.GARBAGE)
    for phase in Phase
    if (fault, phase) != (Fault.GARBAGE, Phase.PUBLISH)  # a publisher says what it means
]


class PublisherHarness(Protocol):
    """A server behind a relay, with a place to publish to that is a test's own."""

    relay: FaultyRelay
    destination: str

    def publisher(self) -> Publisher:
        """One that reaches the server by the relay, not yet connected; it finds out about silence in seconds."""

    def hold_answers(self, held: bool = True) -> None:
        """Have the server take messages and confirm none, until it is let go."""

    async def kept(self, count: int) -> Collection[bytes]:
        """The bodies that the server has, `count` different ones at least; not by the relay."""


class Rows:
    """What waits, in memory."""

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._waiting: dict[int, OutMessage] = {}
        self._written = 0
        self.troubles: list[str] = []

    def write(self, wanted: Sequence[bytes]) -> None:
        for body in wanted:
            self._written += 1
            self._waiting[self._written] = OutMessage(
                id=f"m-{self._written}",
                body=body,
                destination=self._destination,
                content_type="application/json",
            )

    async def waiting(self, limit: int) -> Mapping[int, OutMessage]:
        return dict(list(self._waiting.items())[:limit])

    async def published(self, rows: Sequence[int]) -> None:
        for row in rows:
            del self._waiting[row]

    async def refused(self, rows: Sequence[int]) -> None:
        pass

    def observe(self, _: str, trouble: str) -> None:
        self.troubles.append(trouble)

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    async def until_empty(self) -> None:
        while self._waiting:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def publishing(harness: PublisherHarness, rows: Rows) -> AsyncIterator[None]:
    """A relay that publishes the rows; the body has PATIENCE seconds, and no defect may be among the troubles."""
    publishing = Relay("out", harness.publisher(), rows, observe=rows.observe)
    running = asyncio.create_task(publishing.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        raise AssertionError(f"not over within {PATIENCE:g} s: {rows.troubles}") from None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not any("defect" in trouble for trouble in rows.troubles), rows.troubles


@pytest.mark.slow
@pytest.mark.timeout(240)
class PublisherFaults:
    """Whatever the network does, and wherever: what counts as published the server has, and all is published in the end."""

    @pytest.fixture(autouse=True)
    def pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """How long the relay pauses is its own tests' subject; here each fault would wait for it."""
        monkeypatch.setattr(relay, "_IDLE", 0.1)
        monkeypatch.setattr(relay, "_FIRST_PAUSE", 0.2)

    @pytest.mark.parametrize(("fault", "phase"), CASES)
    async def test_a_fault_costs_no_message(self, harness: PublisherHarness, fault: Fault, phase: Phase) -> None:
        rows = Rows(harness.destination)
        first, *others = bodies(6)
        if phase is Phase.HANDSHAKE:
            harness.relay.arm(fault)
        async with publishing(harness, rows):
            rows.write([first])
            await rows.until_empty()
            if phase is not Phase.HANDSHAKE:
                harness.relay.arm(fault, of=Way.CLIENT if phase is Phase.PUBLISH else Way.SERVER)
            rows.write(others)
            await rows.until_empty()
            await harness.relay.until_met()
            assert set(await harness.kept(6)) == set(bodies(6))

    async def test_a_message_counts_as_published_when_its_late_confirm_has_come(
        self, harness: PublisherHarness
    ) -> None:
        """The server has it before."""
        rows = Rows(harness.destination)
        first, second = bodies(2)
        async with publishing(harness, rows):
            rows.write([first])
            await rows.until_empty()
            harness.hold_answers()
            rows.write([second])
            assert set(await harness.kept(2)) == {first, second}
            assert not rows.is_empty, "nothing has confirmed what the server has"
            harness.hold_answers(False)
            await rows.until_empty()
