"""A Service Bus namespace as tests with the SDK see it, whoever runs it: our stand-in, or Microsoft's emulator."""

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from azure.core.pipeline.transport import AioHttpTransport
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from sandbox.servicebus import ServiceBus
from tests.sandbox.servicebus.together import Stage

WAIT = 20.0
"""Seconds that a receive may take before a test has failed."""

Handler = TypeVar("Handler", ServiceBusSender, ServiceBusReceiver)

_numbers = itertools.count(1)

# quick failures, and a quick close: the SDK's defaults spend seconds in back-off and in its own naps
CLIENT_OPTIONS: dict[str, Any] = {"retry_total": 0, "keep_alive": 0, "socket_timeout": 0.05}


class PlainHttpTransport(AioHttpTransport):  # type: ignore[misc] # which is loaded lazily, so that no type is seen
    """The administration client always dials https; the emulator answers http only."""

    async def send(self, request: Any, **options: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return await super().send(request, **options)


class Bus(Stage):
    """A namespace, and clients of it.

    Handlers stay open, as closing one takes a second. With `max_open` the oldest are closed when there are more, and
    tests run one by one, so that none loses its own.
    """

    def __init__(
        self,
        client: ServiceBusClient,
        admin: ServiceBusAdministrationClient,
        *,
        short_lock: timedelta,
        max_open: int | None,
    ) -> None:
        super().__init__(at_once=8 if max_open is None else 1)
        self.client = client
        self.admin = admin
        self.short_lock = short_lock
        self.opened: list[ServiceBusSender | ServiceBusReceiver] = []
        self._max_open = max_open
        self._ready: list[tuple[ServiceBusSender, ServiceBusReceiver]] = []

    async def queue(self, **settings: Any) -> str:
        """A new queue's name."""
        name = f"queue-{next(_numbers)}"
        await self.admin.create_queue(name, **settings)
        return name

    async def topic(self) -> str:
        """A new topic's name."""
        name = f"topic-{next(_numbers)}"
        await self.admin.create_topic(name)
        return name

    async def new_ends(self) -> tuple[ServiceBusSender, ServiceBusReceiver]:
        """A sender and a receiver of a new queue, made ahead: opening takes half a second, for ten as for one."""
        if not self._ready:
            queues = [await self.queue() for _ in range(10 if self._max_open is None else 1)]
            self._ready = list(await asyncio.gather(*map(self.ends, queues)))
        return self._ready.pop()

    async def ends(self, queue: str, **receiving: Any) -> tuple[ServiceBusSender, ServiceBusReceiver]:
        """A sender and a receiver of a queue, closed with the client."""
        sender, receiver = await asyncio.gather(self.sender(queue), self.receiver(queue, **receiving))
        return sender, receiver

    async def sender(self, queue: str) -> ServiceBusSender:
        """A sender that is open until the client is closed."""
        return await self._open(self.client.get_queue_sender(queue))

    async def receiver(self, queue: str, **receiving: Any) -> ServiceBusReceiver:
        """A receiver that is open until the client is closed."""
        return await self._open(self.client.get_queue_receiver(queue, **receiving))

    async def topic_sender(self, topic: str) -> ServiceBusSender:
        """A sender that is open until the client is closed."""
        return await self._open(self.client.get_topic_sender(topic))

    async def subscription_receiver(self, topic: str, subscription: str, **receiving: Any) -> ServiceBusReceiver:
        """A receiver that is open until the client is closed."""
        return await self._open(self.client.get_subscription_receiver(topic, subscription, **receiving))

    async def _open(self, handler: Handler) -> Handler:
        while self._max_open is not None and len(self.opened) >= self._max_open:
            await self.opened.pop(0).close()
        self.opened.append(handler)
        await handler.__aenter__()
        return handler


@asynccontextmanager
async def connected(
    connection_string: str, admin_string: str, *, short_lock: timedelta, max_open: int | None = None, **options: Any
) -> AsyncIterator[Bus]:
    """Clients for a namespace that runs; what they have opened closes at once in the end, not one by one."""
    client = ServiceBusClient.from_connection_string(connection_string, **{**CLIENT_OPTIONS, **options})
    admin = ServiceBusAdministrationClient.from_connection_string(admin_string, transport=PlainHttpTransport())
    async with client, admin:
        bus = Bus(client, admin, short_lock=short_lock, max_open=max_open)
        try:
            yield bus
        finally:
            await bus.stop()
            await asyncio.gather(*(handler.close() for handler in bus.opened))


def connected_to(broker: ServiceBus, **options: Any) -> AbstractAsyncContextManager[Bus]:
    """Clients for our stand-in."""
    string = broker.connection_string
    return connected(string, string, short_lock=timedelta(seconds=5), **options)


async def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly `count` messages.

    Raises: AssertionError: there were fewer in time.
    """
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        some = await receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=WAIT)
        assert some, f"{len(messages)} of {count} messages came"
        messages += some
    return messages


async def nothing_to_receive(receiver: ServiceBusReceiver) -> bool:
    """Whether nothing comes for a while."""
    return await receiver.receive_messages(max_message_count=1, max_wait_time=0.3) == []


def bodies(messages: Sequence[ServiceBusReceivedMessage]) -> list[str]:
    """The bodies as text."""
    return [str(message) for message in messages]


def numbered(count: int, **properties: Any) -> list[ServiceBusMessage]:
    """Messages with their numbers as bodies, from 0 on."""
    return [ServiceBusMessage(str(number), **properties) for number in range(count)]


def collect_sockets() -> None:
    """Let the SDK's sockets to a peer that was killed be found here, as it leaves them to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
