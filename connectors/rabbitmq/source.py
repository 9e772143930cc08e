"""A RabbitMQ queue as a source of messages."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.base import Backlog, Disposition, Message, Settlement
from connectors.errors import NotConnectedError, TopologyError
from connectors.rabbitmq.properties import read_properties
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.rabbitmq.timing import Timing
from connectors.rabbitmq.unsettled import Unsettled
from connectors.values import shown

if TYPE_CHECKING:
    from connectors.rabbitmq.connection import Channel, Connection


_OFFSET = "x-stream-offset"
"""A header of messages of streams alone. To ask for a queue's type takes a refusal, which the broker logs as an error."""


class RabbitMqSource:
    """Consumes one queue over one connection; the prefetch is the credit.

    A receipt is (epoch, delivery tag). A delivery tag lives and dies with its channel, and a tag of an earlier one
    would close the present one; so each connection is an epoch, and receipts of others are passed over.
    """

    def __init__(self, name: str, settings: RabbitMqSettings, *, timing: Timing = Timing()) -> None:
        self.name = name
        self.warnings: Sequence[str] = ()
        self._settings = settings
        self._timing = timing
        self._epoch = 0
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._inspection: Channel | None = None
        self._arrived: deque[tuple[Any, bytes, bytes]] = deque()  # the delivery, its properties' bytes, the body
        self._unsettled = Unsettled()
        self._arrival: asyncio.Future[None] | None = None
        self._backlog = Backlog()
        self._counted_at = float("-inf")

    async def connect(self) -> None:
        """As the contract says; what is missing and to be created is created, and the queue is bound."""
        # pika costs time and memory, so only a process that consumes from RabbitMQ imports it
        from connectors.rabbitmq.connection import Connection, RefusedError
        from connectors.rabbitmq.topology import ensure

        queue, receive = self._settings.queue.name, self._settings.receive
        self._connection = await Connection.open(
            self._settings.addresses,
            tls=self._settings.tls,
            name=self.name,
            heartbeat=receive.heartbeat,
            blocked_timeout=receive.blocked_timeout,
            timing=self._timing,
        )
        try:
            await ensure(self._connection, self._settings, source=self.name)
            self._inspection = await self._connection.channel()
            self._channel = await self._connection.channel()
            raw = self._channel.raw
            await self._channel.call(raw.basic_qos, prefetch_count=receive.credit)  # gone with every channel
            await self._channel.call(raw.basic_consume, queue=queue, on_message_callback=self._consumer())
        except RefusedError as refused:
            await self.close()
            raise TopologyError(f"{self.name}: cannot consume from {queue!r}: {refused}") from refused
        except BaseException:
            await self.close()
            raise

    async def receive(self, limit: int) -> Sequence[Message]:
        """As the contract says. Raises: TopologyError: the queue is a stream, which keeps what is acknowledged."""
        channel = self._open_channel()
        if not self._arrived or not self._room:
            self._arrival = asyncio.get_running_loop().create_future()
            await channel.done(self._arrival, timeout=self._timing.idle_wait)
            self._open_channel()
        # no await from here on: a message taken off the queue is returned
        is_lost = channel.closed.done
        count = min(limit, len(self._arrived), self._room)
        messages = [self._message(*self._arrived.popleft(), is_lost=is_lost) for _ in range(count)]
        if messages and _OFFSET in messages[0].headers:
            raise TopologyError(
                f"{self.name}: {self._settings.queue.name!r} is a stream, and streams are not supported: nothing of it is "
                "ever settled; bind a quorum queue to the exchange that feeds it"
            )
        return messages

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """As the contract says; AMQP does not confirm a settlement, so it is sent, not known to have arrived."""
        ours: dict[int, Settlement] = {}
        for message, answer in settled:
            epoch, tag = message.receipt
            if epoch == self._epoch:
                ours.setdefault(tag, answer.settlement)  # of two answers the first counts
        if not ours:
            return
        channel = self._open_channel()
        for tag, settlement in ours.items():
            if settlement is not Settlement.ACK and self._unsettled.remove(tag):
                channel.send(channel.raw.basic_reject, tag, requeue=settlement is Settlement.NACK)
        acknowledged = [tag for tag, settlement in ours.items() if settlement is Settlement.ACK]
        for tag, multiple in self._unsettled.acknowledge(acknowledged):
            channel.send(channel.raw.basic_ack, tag, multiple)
        self._wake()

    async def backlog(self) -> Backlog:
        """What waits in the queue and here; what other consumers hold is not counted."""
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= self._timing.backlog_age:
            self._open_channel()
            assert self._inspection is not None  # opened before the channel
            declare = self._inspection.raw.queue_declare
            counted = await self._inspection.call(declare, queue=self._settings.queue.name, passive=True)
            self._backlog = Backlog(messages=counted.message_count + len(self._unsettled))
            self._counted_at = now
        return self._backlog

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._channel = self._inspection = None
        self._epoch += 1
        self._counted_at = float("-inf")
        if connection is not None:
            await connection.close()

    def _open_channel(self) -> "Channel":
        if self._channel is None:
            raise NotConnectedError(f"{self.name}: not connected")
        return self._channel.check()

    def _consumer(self) -> Callable[[Any, Any, bytes, bytes], None]:
        """What pika calls for each delivery of the connection that begins; a late one of an earlier goes nowhere."""
        arrived = self._arrived = deque()
        unsettled = self._unsettled = Unsettled()

        def on_message(_: Any, method: Any, properties: bytes, body: bytes) -> None:
            unsettled.add(method.delivery_tag)
            arrived.append((method, properties, body))
            self._wake()

        return on_message

    @property
    def _room(self) -> int:
        """How many messages may be taken: what has arrived and was not taken is unsettled too."""
        return max(0, self._settings.receive.slots - (len(self._unsettled) - len(self._arrived)))

    def _wake(self) -> None:
        """Let `receive` look again: a message has come, or there is room for one."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _message(self, method: Any, frame: bytes, body: bytes, *, is_lost: Callable[[], bool]) -> Message:
        read = read_properties(frame)
        properties, headers = read.values, read.headers
        properties["exchange"] = shown(method.exchange)
        properties["routing_key"] = shown(method.routing_key)
        return Message(
            source=self.name,
            body=body,
            id=properties.get("message_id"),
            content_type=properties.get("content_type"),
            headers=headers,
            properties=properties,
            enqueued_at=_time(properties.get("timestamp")),
            delivery_count=_delivery_count(headers.get("x-delivery-count"), method.redelivered),
            unreadable=read.unreadable,
            receipt=(self._epoch, method.delivery_tag),
            is_lost=is_lost,
        )


def _time(timestamp: int | None) -> datetime | None:
    """The publisher's clock in seconds; None for what is no date, such as milliseconds."""
    if timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _delivery_count(earlier: Any, redelivered: bool) -> int:
    """Quorum queues count earlier deliveries in a header; of others we know only whether there was one."""
    if type(earlier) is int:
        return earlier + 1
    return 2 if redelivered else 1


async def probe(name: str, settings: RabbitMqSettings) -> None:
    """Whether a source could start: broker, credentials, and what is not to be created. Raises: SourceError."""
    from connectors.rabbitmq.connection import Connection
    from connectors.rabbitmq.topology import look

    receive = settings.receive
    connection = await Connection.open(
        settings.addresses,
        tls=settings.tls,
        name=name,
        heartbeat=receive.heartbeat,
        blocked_timeout=receive.blocked_timeout,
        timing=Timing(),
    )
    try:
        await look(connection, settings)
    finally:
        await connection.close()
