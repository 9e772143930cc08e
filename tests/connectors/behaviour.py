"""What every source promises, tested once: subclass `SourceBehaviour` and give it a fixture `harness`."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import pytest

from connectors.base import ACK, NACK, Disposition, Message, Settlement, Source
from connectors.errors import NotConnectedError

REJECT = Disposition(settlement=Settlement.REJECT, reason="decode", detail="said by a test")
PATIENCE = 45.0  # seconds; far more than anything here takes


class Harness(Protocol):
    """A source, not yet connected, and what stands on its other side."""

    @property
    def source(self) -> Source: ...

    async def publish(self, bodies: Sequence[bytes]) -> None:
        """Make these messages wait for the source; returns when they do, without waiting for their settlement."""

    async def lose_connection(self) -> None:
        """Break the connection from outside; `receive` fails soon after, and what was not settled comes again."""


def bodies(count: int) -> list[bytes]:
    """Distinct JSON bodies, in their sorted order."""
    return [b'{"number": "%02d"}' % number for number in range(count)]


def bodies_of(messages: Sequence[Message]) -> list[bytes]:
    return sorted(message.body for message in messages)


async def take(source: Source, count: int) -> list[Message]:
    """Receive until there are `count` messages."""
    messages: list[Message] = []
    async with asyncio.timeout(PATIENCE):
        while len(messages) < count:
            messages += await source.receive(count - len(messages))
    return messages


async def reconnect(source: Source) -> None:
    await source.close()
    await source.connect()


async def lose(harness: Harness) -> None:
    """Lose the connection and return when the source knows."""
    await harness.lose_connection()
    async with asyncio.timeout(PATIENCE):
        while await stands(harness.source):
            pass


async def stands(source: Source) -> bool:
    """Whether the source believes itself connected."""
    try:
        await source.receive(1)
    except NotConnectedError:
        return False
    return True


async def waiting(source: Source, count: int) -> list[Message]:
    """All that a new connection finds, once it is exactly `count` messages: whatever is not settled, and no more."""
    await reconnect(source)
    async with asyncio.timeout(PATIENCE):
        while (await source.backlog()).messages != count:
            await asyncio.sleep(0.01)  # the other side cannot be awaited
    return await take(source, count)


class SourceBehaviour:
    """The contract of `connectors.base.Source`, as far as all sources share it."""

    async def test_messages_come_as_published_and_acknowledged_ones_never_again(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(5))
        messages = await take(harness.source, 5)
        assert bodies_of(messages) == bodies(5)
        assert {message.source for message in messages} == {harness.source.name}
        assert {message.delivery_count for message in messages} == {1}
        await harness.source.settle([(message, ACK) for message in messages])
        assert await waiting(harness.source, 0) == []

    async def test_no_more_come_than_asked_for(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(5))
        async with asyncio.timeout(PATIENCE):
            while not (first := await harness.source.receive(3)):
                pass
        assert len(first) <= 3
        assert bodies_of([*first, *await take(harness.source, 5 - len(first))]) == bodies(5)

    async def test_an_idle_source_answers_with_nothing(self, harness: Harness) -> None:
        await harness.source.connect()
        async with asyncio.timeout(PATIENCE):
            assert await harness.source.receive(10) == []

    async def test_what_is_given_back_or_kept_comes_again_and_what_is_rejected_does_not(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(4))
        acknowledged, given_back, rejected, kept = await take(harness.source, 4)
        await harness.source.settle([(acknowledged, ACK), (given_back, NACK), (rejected, REJECT)])
        assert bodies_of(await waiting(harness.source, 2)) == bodies_of([given_back, kept])

    async def test_settling_twice_is_settling_once(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(3))
        first, second, third = await take(harness.source, 3)
        await harness.source.settle([(first, ACK), (first, ACK)])
        await harness.source.settle([(first, NACK), (first, REJECT), (second, ACK)])
        assert await harness.source.receive(10) == []  # the connection stands
        assert bodies_of(await waiting(harness.source, 1)) == bodies_of([third])

    async def test_messages_are_settled_in_any_order(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(8))
        messages = await take(harness.source, 8)
        for chosen in ([5, 2], [3], [6, 0], [1, 4]):
            await harness.source.settle([(messages[number], ACK) for number in chosen])
        assert bodies_of(await waiting(harness.source, 1)) == bodies_of(messages[7:])

    async def test_a_receipt_of_an_earlier_connection_is_passed_over(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(1))
        stale = await take(harness.source, 1)
        await reconnect(harness.source)
        await take(harness.source, 1)
        await harness.source.settle([(stale[0], ACK), (stale[0], REJECT)])
        assert bodies_of(await waiting(harness.source, 1)) == bodies(1)

    async def test_after_a_loss_what_was_not_settled_comes_again(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(3))
        first = await take(harness.source, 3)
        await lose(harness)
        again = await waiting(harness.source, 3)
        assert bodies_of(again) == bodies(3)
        await harness.source.settle([(message, ACK) for message in [*first, *again]])
        assert await waiting(harness.source, 0) == []

    async def test_a_cancelled_receive_loses_nothing(self, harness: Harness) -> None:
        await harness.source.connect()
        received: list[Message] = []
        for turns, body in enumerate(bodies(10)):
            receiving = asyncio.create_task(harness.source.receive(10))
            await asyncio.sleep(0)
            await harness.publish([body])
            for _ in range(turns):  # so that the cancel comes sooner and later
                await asyncio.sleep(0)
            receiving.cancel()
            with suppress(asyncio.CancelledError):
                received += await receiving
        received += await take(harness.source, 10 - len(received))
        assert bodies_of(received) == bodies(10)

    async def test_settling_works_while_a_receive_waits(self, harness: Harness) -> None:
        await harness.source.connect()
        await harness.publish(bodies(1))
        (message,) = await take(harness.source, 1)
        receiving = asyncio.create_task(harness.source.receive(1))
        await asyncio.sleep(0)
        await harness.source.settle([(message, ACK)])
        assert await receiving == []
        assert await waiting(harness.source, 0) == []

    async def test_closing_twice_or_unconnected_is_quiet(self, harness: Harness) -> None:
        await harness.source.close()
        await harness.source.connect()
        await harness.source.close()
        await harness.source.close()
        with pytest.raises(NotConnectedError):
            await harness.source.receive(1)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(5))
    async def test_whatever_happens_each_message_is_acknowledged_in_the_end(self, harness: Harness, seed: int) -> None:
        chance = random.Random(seed)
        source = harness.source
        await source.connect()
        await harness.publish(bodies(60))
        held: list[Message] = []
        acknowledged: set[bytes] = set()
        certain: set[bytes] = set()  # acknowledged over this connection: not to be seen again while it lasts
        for step in chance.choices(["receive", "settle", "break"], [55, 40, 5], k=80):
            if step == "receive" and len(held) < 40:
                fresh = await source.receive(chance.randint(1, 8))
                assert certain.isdisjoint(bodies_of(fresh))
                held += fresh
            elif step == "settle":
                chosen = chance.sample(held, min(len(held), 6))
                for message in chosen:
                    answer = chance.choices([ACK, NACK], [9, 1])[0]
                    await source.settle([(message, answer), (message, NACK)])
                    held.remove(message)
                    if answer is ACK:
                        acknowledged.add(message.body)
                        certain.add(message.body)
            elif step == "break":
                if chance.random() < 0.5:
                    await lose(harness)
                await reconnect(source)
                held.clear()
                certain.clear()
        await reconnect(source)
        async with asyncio.timeout(PATIENCE):
            while acknowledged != set(bodies(60)):
                rest = await source.receive(10)
                await source.settle([(message, ACK) for message in rest])
                acknowledged.update(bodies_of(rest))
        assert await waiting(source, 0) == []
