"""Publishing to a topic, returning when all replicas in sync have the messages."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from connectors.base import OutMessage
from connectors.errors import NotConnectedError, PublishError, TopologyError
from connectors.kafka.settings import Brokers
from connectors.kafka.timing import Timing

_MAX_REQUEST = 16 * 1024 * 1024
"""Bytes of a message that are sent: the topic's own limit is the one that counts."""


class KafkaPublisher:
    """Publishes through an idempotent producer; `OutMessage.destination` is the topic.

    What a broker has taken and not confirmed is sent again under the number that it had, and kept once.
    """

    def __init__(self, name: str, settings: Brokers, topic: str, *, timing: Timing = Timing()) -> None:
        self.name = name
        self._settings = settings
        self._topic = topic
        self._timing = timing
        self._producer: Any = None

    async def connect(self) -> None:
        """As the contract says; the topic has to exist."""
        from aiokafka import AIOKafkaProducer  # only where it is used
        from aiokafka.errors import KafkaConnectionError, KafkaError

        from connectors.kafka.client import cause_of_no_connection, client_options, translated

        options = client_options(self.name, self._settings, self._timing)
        self._producer = AIOKafkaProducer(
            **options, enable_idempotence=True, max_request_size=_MAX_REQUEST, compression_type="gzip"
        )
        try:
            try:
                await self._producer.start()
            except KafkaConnectionError as error:
                raise await cause_of_no_connection(self.name, options) from error
            async with asyncio.timeout(self._timing.request):
                await self._producer.partitions_for(self._topic)
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise TopologyError(
                    f"{self.name}: no topic {self._topic!r}, or it may not be written; create it"
                ) from None
            if isinstance(error, KafkaError | OSError):
                raise translated(error, self.name) from error
            raise

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        """As the contract says. One that is too large for the topic fails alone, though it was sent with others."""
        from aiokafka.errors import MessageSizeTooLargeError

        if self._producer is None:
            raise NotConnectedError(f"{self.name}: not connected")
        problems = await self._send(messages)
        if len(messages) > 1 and any(isinstance(problem, MessageSizeTooLargeError) for problem in problems.values()):
            problems = await self._send_singly([each for each in messages if each.id in problems])
        if problems:
            named = [f"{id}: {_said_of(problem)}" for id, problem in problems.items()]
            text = f"{len(problems)} of {len(messages)} not published: {'; '.join(named[:5])}"
            published = frozenset(each.id for each in messages if each.id not in problems)
            raise PublishError(f"{self.name}: {text}", published=published)

    async def _send_singly(self, messages: Sequence[OutMessage]) -> dict[str, BaseException]:
        """As `_send`. A producer is of no more use after a refusal: the broker expects another number than follows."""
        problems: dict[str, BaseException] = {}
        is_usable = False
        for each in messages:
            if not is_usable:
                await self.close()
                await self.connect()
            refused = await self._send([each])
            is_usable = not refused
            problems |= refused
        return problems

    async def _send(self, messages: Sequence[OutMessage]) -> dict[str, BaseException]:
        """What went wrong, by the ids of the messages that are not confirmed."""
        from aiokafka.errors import KafkaError

        problems: dict[str, BaseException] = {}
        sent: list[tuple[str, asyncio.Future[Any]]] = []
        for message in messages:
            try:
                headers = list(_headers(message))
                sending = await self._producer.send(message.destination, message.body, headers=headers)
            except (KafkaError, TimeoutError) as error:
                problems[message.id] = error
            else:
                sent.append((message.id, sending))
        if sent:
            await asyncio.wait([future for _, future in sent], timeout=2 * self._timing.request)
        for id, future in sent:
            if not future.done():
                problems[id] = TimeoutError("no confirm in time; the broker may have it or not")
            elif (problem := future.exception()) is not None:
                problems[id] = problem
        return problems

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            stopping = asyncio.ensure_future(producer.stop())
            await asyncio.wait([stopping], timeout=self._timing.close)
            stopping.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await stopping


def _said_of(problem: BaseException) -> str:
    from aiokafka.errors import TopicAuthorizationFailedError

    if isinstance(problem, TopicAuthorizationFailedError):
        return "the topic may not be written: allow Write on the topic"
    return str(problem) or type(problem).__name__


def _headers(message: OutMessage) -> Iterator[tuple[str, bytes]]:
    """Kafka's headers are bytes; the id and the content type are headers like others."""
    yield "message-id", message.id.encode()
    given: Mapping[str, Any] = message.headers
    if message.content_type is not None and not any(name.lower() == "content-type" for name in given):
        yield "content-type", message.content_type.encode()
    for name, value in given.items():
        yield name, value if isinstance(value, bytes) else str(value).encode()
