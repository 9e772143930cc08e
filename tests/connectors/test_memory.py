"""The source made from a list keeps the contract, and ends when its list does."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from connectors.base import ACK, Message
from connectors.errors import SourceClosedError
from connectors.memory import MemorySource
from tests.connectors.behaviour import REJECT, Harness, SourceBehaviour, bodies, take


@dataclass
class MemoryHarness:
    source: MemorySource

    async def publish(self, bodies: Sequence[bytes]) -> None:
        self.source.add(*(Message(source="", body=body) for body in bodies))

    async def lose_connection(self) -> None:
        self.source.lose_connection()


class TestMemorySource(SourceBehaviour):
    @pytest.fixture
    def harness(self) -> Harness:
        return MemoryHarness(MemorySource("memory", open_ended=True, idle_wait=0.02))


async def test_a_list_ends_when_every_message_is_settled_and_says_what_became_of_each() -> None:
    source = MemorySource("list", [Message(source="", body=body) for body in bodies(2)])
    await source.connect()
    first, second = await take(source, 2)
    await source.settle([(first, ACK), (second, REJECT)])
    with pytest.raises(SourceClosedError, match="list"):
        await source.receive(1)
    assert source.acknowledged == [first]
    assert source.rejected == [(second, REJECT)]


async def test_no_more_are_out_than_the_credit_allows() -> None:
    source = MemorySource("list", [Message(source="", body=body) for body in bodies(5)], credit=3)
    await source.connect()
    handed_out = await source.receive(5)
    assert len(handed_out) == 3
    await source.settle([(handed_out[1], ACK)])
    assert len(await source.receive(5)) == 1


async def test_a_redelivery_is_counted() -> None:
    source = MemorySource("list", [Message(source="", body=b"{}")])
    for expected in (1, 2, 3):
        await source.connect()
        (message,) = await source.receive(1)
        assert message.delivery_count == expected
        await source.close()
