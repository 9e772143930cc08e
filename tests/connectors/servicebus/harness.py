"""A Service Bus source and the stand-in on its other side, with a publisher of the real SDK."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from connectors.base import Message
from connectors.errors import SourceError
from connectors.servicebus import ServiceBusSettings, ServiceBusSource
from connectors.servicebus.source import MAX_REQUESTS
from connectors.servicebus.timing import Timing
from sandbox.servicebus import QueueSettings, ServiceBus
from sandbox.servicebus.amqp.performatives import Disposition, Transfer
from sandbox.servicebus.amqp.types import UInt
from sandbox.servicebus.message import Message as Received
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.service_bus import wall_clock
from tests.connectors.behaviour import PATIENCE, take
from tests.connectors.servicebus.quick import QUICK
from tests.sandbox.servicebus.raw import raw_client

TOPIC, SUBSCRIPTION = "hr", "bridge"
PATH = f"{TOPIC}/Subscriptions/{SUBSCRIPTION}"


def connection(broker: ServiceBus) -> dict[str, str]:
    """The configuration's `connection`."""
    return {"connection_string": broker.connection_string, "administration": f"http://127.0.0.1:{broker.port}"}


def settings(broker: ServiceBus, **changes: Any) -> ServiceBusSettings:
    """Of a source of the subscription."""
    whole = {"connection": connection(broker), "topic": TOPIC, "subscription": {"name": SUBSCRIPTION}} | changes
    return ServiceBusSettings.model_validate({key: value for key, value in whole.items() if value is not None})


class ServiceBusHarness:
    """`source` of a subscription, not yet connected. Further sources are made by `another`, and closed at the end."""

    def __init__(self, broker: ServiceBus, open: AsyncExitStack, **changes: Any) -> None:
        self.broker = broker
        self._open = open
        self._sender: ServiceBusSender | None = None
        self.source = self.another(**changes)

    @property
    def queue(self) -> MessageQueue:
        """What the broker has of the subscription."""
        return self.broker.queue(PATH)

    def another(self, *, timing: Timing = QUICK, max_requests: int = MAX_REQUESTS, **changes: Any) -> ServiceBusSource:
        """A source with other settings."""
        source = ServiceBusSource("hr", settings(self.broker, **changes), timing=timing, max_requests=max_requests)
        self._open.push_async_callback(source.close)
        return source

    async def connect(self) -> ServiceBusSource:
        await self.source.connect()
        return self.source

    async def publish(self, bodies: Sequence[bytes]) -> None:
        await self.send(*map(ServiceBusMessage, bodies))

    async def send(self, *messages: ServiceBusMessage) -> None:
        if self._sender is None:
            client = ServiceBusClient.from_connection_string(self.broker.connection_string, retry_backoff_factor=0.02)
            self._sender = client.get_topic_sender(TOPIC)
            self._open.push_async_callback(self._sender.close)
        await self._sender.send_messages(list(messages))

    async def send_raw(self, *payloads: bytes) -> None:
        """Send messages that are encoded already, byte for byte."""
        async with raw_client(self.broker) as client:
            client.open()
            client.attach(TOPIC, handle=1, receives=False)
            for number, payload in enumerate(payloads):
                client.say(Transfer(UInt(1), UInt(number), b"%d" % number), payload)
                await client.next(Disposition)

    async def lose_connection(self) -> None:
        self.broker.cut()
        self.broker.expire_locks(PATH)  # as they do in time, which a test need not wait for

    async def until_renewed(self) -> None:
        """Return when the locks of all that is locked have been extended."""
        ends = {message.sequence_number: message.lock_end for message in self._locked()}
        assert ends
        async with asyncio.timeout(PATIENCE):
            while any(message.lock_end <= ends.get(message.sequence_number, 0) for message in self._locked()):
                await asyncio.sleep(0.01)

    def _locked(self) -> list[Received]:
        return [message for message in self.queue if message.lock_token is not None]

    async def dead_letters(self, count: int) -> list[Message]:
        """What is in the dead-letter queue, as another source reads it."""
        source = self.another(dead_letter=True, receive=None)
        await source.connect()
        return await take(source, count)

    async def until(self, **counts: int) -> None:
        """Return when the broker has counted so many of each."""
        async with asyncio.timeout(PATIENCE):
            while any(getattr(self.queue.counts, name) < count for name, count in counts.items()):
                await asyncio.sleep(0.01)


async def failure_of(source: ServiceBusSource) -> SourceError:
    """What `receive` raises in the end."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await source.receive(10)
            except SourceError as error:
                return error


@asynccontextmanager
async def harness(
    queue: QueueSettings, *, clock: Callable[[], int] = wall_clock, **changes: Any
) -> AsyncIterator[ServiceBusHarness]:
    """A stand-in with the subscription, and a source with these settings."""
    async with ServiceBus(clock=clock) as broker, AsyncExitStack() as stack:
        broker.create_topic(TOPIC)
        broker.create_subscription(TOPIC, SUBSCRIPTION, queue)
        yield ServiceBusHarness(broker, stack, **changes)
