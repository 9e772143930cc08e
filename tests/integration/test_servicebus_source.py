"""A Service Bus subscription as a source, through the SDK against the stand-in: the shared behaviour, and its traps."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from connectors.base import ACK
from connectors.errors import NotConnectedError
from connectors.servicebus import ServiceBusSettings, ServiceBusSource, locks, source
from sandbox.servicebus import QueueSettings, ServiceBus
from tests.connectors.behaviour import SourceBehaviour, bodies, take

TOPIC, SUBSCRIPTION = "hr", "bridge"
PATH = f"{TOPIC}/Subscriptions/{SUBSCRIPTION}"


def settings(broker: ServiceBus, **changes: Any) -> ServiceBusSettings:
    return ServiceBusSettings.model_validate(
        {
            "connection": {
                "connection_string": broker.connection_string,
                "administration": f"http://127.0.0.1:{broker.port}",
            },
            "topic": TOPIC,
            "subscription": {"name": SUBSCRIPTION},
        }
        | changes
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle answer and a fresh count do not take their second."""
    monkeypatch.setattr(source, "IDLE_WAIT", 0.1)
    monkeypatch.setattr(source, "BACKLOG_AGE", 0.0)
    monkeypatch.setattr(locks, "TICK", 0.1)  # locks are shorter here, too


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBus]:
    async with ServiceBus() as broker:
        broker.create_topic(TOPIC)
        yield broker


@dataclass
class ServiceBusHarness:
    source: ServiceBusSource
    broker: ServiceBus
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _sender: ServiceBusSender | None = None

    async def publish(self, bodies: Sequence[bytes]) -> None:
        await self.send(*(ServiceBusMessage(body) for body in bodies))

    async def send(self, *messages: ServiceBusMessage) -> None:
        await (await self.sender()).send_messages(list(messages))

    async def sender(self) -> ServiceBusSender:
        if self._sender is None:
            client = ServiceBusClient.from_connection_string(self.broker.connection_string)
            await self._open.enter_async_context(client)
            self._sender = await self._open.enter_async_context(client.get_topic_sender(TOPIC))
        return self._sender

    async def lose_connection(self) -> None:
        self.broker.cut()

    async def close(self) -> None:
        await self.source.close()
        await self._open.aclose()


@pytest.fixture
async def harness(broker: ServiceBus) -> AsyncIterator[ServiceBusHarness]:
    broker.create_subscription(TOPIC, SUBSCRIPTION, QueueSettings(lock_duration=2_000, max_delivery_count=2000))
    harness = ServiceBusHarness(ServiceBusSource("hr", settings(broker)), broker)
    yield harness
    await harness.close()


class TestServiceBusSource(SourceBehaviour):
    """The shared behaviour; its harness is the fixture above."""


async def test_settling_over_a_lost_connection_says_so_and_opens_no_other(harness: ServiceBusHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(20))
    messages = await take(harness.source, 20)
    harness.broker.cut()
    with pytest.raises(NotConnectedError):
        await harness.source.settle([(message, ACK) for message in messages])
    assert harness.broker.connections <= 1
    with pytest.raises(NotConnectedError, match="lost"):
        await harness.source.receive(1)
    await harness.source.close()
    await harness.source.settle([(message, ACK) for message in messages])  # stale by now, and quiet
    assert all(message.is_lost() for message in messages)
    assert harness.broker.connections == 0
