"""A queue of the Service Bus stand-in in this process, filled by the real SDK, with consumers that compete for it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from sandbox.servicebus import QueueSettings, ServiceBus

BATCH = 250
"""Messages in one send, which the broker takes whole."""


class ServiceBusQueue:
    """`async with opened(name, settings) as queue`."""

    def __init__(self, broker: ServiceBus, name: str, sender: ServiceBusSender) -> None:
        self.name = name
        self._broker = broker
        self._sender = sender

    @property
    def port(self) -> int:
        return self._broker.port

    @property
    def source(self) -> Mapping[str, Any]:
        """The configuration's `servicebus:` of a consumer."""
        address = f"http://127.0.0.1:{self._broker.port}"
        connection = {"connection_string": self._broker.connection_string, "administration": address}
        return {"connection": connection, "queue": {"name": self.name}}

    async def put(self, messages: Sequence[tuple[bytes, str]]) -> None:
        """Bodies with their message ids; returns when the broker has taken all."""
        rest = (ServiceBusMessage(body, message_id=message_id) for body, message_id in messages)
        while batch := list(islice(rest, BATCH)):
            await self._sender.send_messages(batch)

    async def until_settled(self, *, seconds: float) -> None:
        """Return when nothing is left in it. Raises: AssertionError: something is, or the broker gave something up."""
        queue = self._broker.queue(self.name)
        try:
            async with asyncio.timeout(seconds):
                while len(queue):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(self.state()) from None
        assert not queue.counts.dead_lettered, self.state()

    def state(self) -> str:
        """How many messages are left, and what became of the others."""
        queue = self._broker.queue(self.name)
        return f"{len(queue)} left in Service Bus, {queue.counts}"

    def delivered_again(self) -> int:
        """How often a message was handed out beyond its first time."""
        counts = self._broker.queue(self.name).counts
        return counts.delivered - counts.enqueued


@asynccontextmanager
async def opened(name: str, settings: QueueSettings) -> AsyncIterator[ServiceBusQueue]:
    """A namespace of its own, with this queue."""
    async with ServiceBus() as broker:
        broker.create_queue(name, settings)
        async with (
            ServiceBusClient.from_connection_string(broker.connection_string) as client,
            client.get_queue_sender(name) as sender,
        ):
            yield ServiceBusQueue(broker, name, sender)
