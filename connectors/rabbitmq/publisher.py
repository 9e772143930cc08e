"""Publishing to a RabbitMQ exchange, returning when the broker has taken responsibility."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import OutMessage
from connectors.errors import NotConnectedError, PublishError
from connectors.rabbitmq.confirms import Confirms
from connectors.rabbitmq.properties import read_properties
from connectors.rabbitmq.settings import RabbitMqPublisherSettings
from connectors.rabbitmq.timing import Timing

if TYPE_CHECKING:
    from connectors.rabbitmq.connection import Channel, Connection


class RabbitMqPublisher:
    """Publishes persistent, mandatory messages with confirms; `OutMessage.destination` is the routing key."""

    def __init__(self, name: str, settings: RabbitMqPublisherSettings, *, timing: Timing = Timing()) -> None:
        self.name = name
        self._settings = settings
        self._timing = timing
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._confirms = Confirms()

    async def connect(self) -> None:
        """As the contract says; the exchange has to exist."""
        from connectors.rabbitmq.connection import Connection  # pika, only where it is used
        from connectors.rabbitmq.topology import require_exchange

        settings = self._settings
        self._connection = await Connection.open(
            settings.addresses,
            tls=settings.tls,
            name=self.name,
            heartbeat=settings.heartbeat,
            blocked_timeout=settings.blocked_timeout,
            timing=self._timing,
        )
        try:
            if settings.exchange:
                await require_exchange(self._connection, settings.exchange)
            channel = await self._connection.channel()
            confirms = self._confirms = Confirms()
            channel.raw.add_on_return_callback(
                lambda _, method, properties, body: confirms.returned(
                    read_properties(properties).values["message_id"], method.reply_text
                )
            )
            await channel.call(channel.raw.confirm_delivery, ack_nack_callback=_listener(confirms))
            self._channel = channel
        except BaseException:
            await self.close()
            raise

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        """As the contract says; a message that no queue takes counts as not published."""
        if self._channel is None:
            raise NotConnectedError(f"{self.name}: not connected")
        channel = self._channel.check()
        outcomes = [self._send(channel, message) for message in messages]
        timeout = self._settings.confirm_timeout
        in_time = await channel.done(asyncio.gather(*outcomes), timeout=timeout)
        answers = [
            (each.id, outcome.result()) for each, outcome in zip(messages, outcomes, strict=True) if outcome.done()
        ]
        published = frozenset(id for id, problem in answers if problem is None)
        if not in_time:
            channel.check()
            text = f"no confirm within {timeout:g} s; the broker may have the messages or not"
            raise PublishError(f"{self.name}: {text}", published=published)
        problems = [f"{id}: {problem}" for id, problem in answers if problem is not None]
        if problems:
            text = f"{len(problems)} of {len(messages)} not published: {'; '.join(problems[:5])}"
            raise PublishError(f"{self.name}: {text}", published=published)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        self._channel = None
        if connection is not None:
            await connection.close()

    def _send(self, channel: "Channel", message: OutMessage) -> asyncio.Future[str | None]:
        channel.publish(self._settings.exchange, message)
        return self._confirms.publish(message.id)


def _listener(confirms: Confirms) -> Callable[[Any], None]:
    """What pika calls with a Basic.Ack or Basic.Nack frame."""

    def on_confirm(frame: Any) -> None:
        method = frame.method
        confirms.confirmed(method.delivery_tag, multiple=method.multiple, taken=method.NAME == "Basic.Ack")

    return on_confirm
