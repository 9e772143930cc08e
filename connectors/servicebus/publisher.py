"""Publishing to a queue or topic of Service Bus, returning when the broker has settled the transfer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from connectors.base import OutMessage
from connectors.errors import NotConnectedError, PublishError
from connectors.servicebus.settings import SinkEntity

if TYPE_CHECKING:
    from connectors.servicebus.client import Client

_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 5.0
_MISSING = "create it"


class ServiceBusPublisher:
    """As the contract says; messages go in batches as large as the broker takes, in order.

    The broker has `timeout` seconds to let us in, and for each batch.
    """

    def __init__(self, name: str, settings: SinkEntity, *, timeout: float = _TIMEOUT) -> None:
        self.name = name
        self._timeout = timeout
        self._settings = settings
        self._client: Client | None = None
        self._sender: Any = None

    @property
    def _what(self) -> str:
        settings = self._settings
        entity = f"queue {settings.queue!r}" if settings.queue is not None else f"topic {settings.topic!r}"
        return f"{self.name}: {entity}"

    async def connect(self) -> None:
        from connectors.servicebus.client import Client, translated  # the SDK, only where it is used

        settings = self._settings
        try:
            with translated(self._what, missing=_MISSING):
                async with asyncio.timeout(self._timeout):
                    self._client = Client(settings.connection)
                    self._sender = self._client.sender(queue=settings.queue, topic=settings.topic)
                    await self._sender._open_with_retry()  # else the first message finds out
        except BaseException:
            await self.close()
            raise

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        from azure.servicebus.exceptions import MessageSizeExceededError

        from connectors.servicebus.client import translated

        if self._sender is None:
            raise NotConnectedError(f"{self.name}: not connected")
        published: set[str] = set()
        too_large: list[str] = []
        left = list(messages)
        try:
            with translated(self._what, missing=_MISSING):
                while left:
                    batch = await self._sender.create_message_batch()
                    taken: list[str] = []
                    while left:
                        try:
                            batch.add_message(_sdk_message(left[0]))
                        except MessageSizeExceededError:
                            if taken:
                                break
                            too_large.append(left.pop(0).id)
                            continue
                        taken.append(left.pop(0).id)
                    if taken:
                        async with asyncio.timeout(self._timeout):
                            await self._sender.send_messages(batch)
                        published.update(taken)
        except NotConnectedError as error:
            if not published:
                raise
            raise PublishError(str(error), published=frozenset(published)) from error
        if too_large:
            text = (
                f"{self._what}: {len(too_large)} of {len(messages)} are larger than the broker takes: {too_large[:5]}"
            )
            raise PublishError(text, published=frozenset(published))

    async def close(self) -> None:
        client, sender = self._client, self._sender
        self._client = self._sender = None
        if sender is not None:  # the client knows its senders by weak references: who lets go of one leaves it open
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await sender.close()
        if client is not None:
            await client.close()


def _sdk_message(message: OutMessage) -> Any:
    from azure.servicebus import ServiceBusMessage

    properties: dict[Any, Any] = dict(message.headers)
    return ServiceBusMessage(
        message.body,
        message_id=message.id,
        content_type=message.content_type,
        application_properties=properties,
    )
