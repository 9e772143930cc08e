"""Every publisher under the same faults of the way to its server: dead letters and reports."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from azure.servicebus.aio import ServiceBusClient

from connectors.http.publisher import HttpPublisher
from connectors.http.settings import SinkUrl
from connectors.kafka import KafkaPublisher
from connectors.kafka.settings import SinkTopic
from connectors.kafka.timing import Timing as KafkaTiming
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings
from connectors.rabbitmq.timing import Timing as RabbitMqTiming
from connectors.servicebus.publisher import ServiceBusPublisher
from connectors.servicebus.settings import SinkEntity
from sandbox.servicebus import QueueSettings, ServiceBus
from tests.brokers import queues
from tests.brokers.faulty_relay import FaultyRelay
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.topics import create_topic
from tests.connectors.publisher_faults import PublisherFaults
from tests.connectors.servicebus.quick import close_at_once
from tests.integration.hook import Hook


class BehindRelay:
    """A server whose answers the relay can hold."""

    relay: FaultyRelay

    def hold_answers(self, held: bool = True) -> None:
        self.relay.hold_answers(held)


@dataclass
class RabbitMqPlace(BehindRelay):
    broker: RabbitMq
    relay: FaultyRelay
    destination: str

    def publisher(self) -> RabbitMqPublisher:
        url = f"amqp://guest:guest@127.0.0.1:{self.relay.port}/%2F"
        given = {"url": url, "heartbeat": 1, "confirm_timeout": 3}
        settings = RabbitMqPublisherSettings.model_validate(given)
        return RabbitMqPublisher("out", settings, timing=RabbitMqTiming(open=3.0, close=0.5))

    async def kept(self, count: int) -> Collection[bytes]:
        found: set[bytes] = set()
        while len(found) < count:
            found |= {body for body, _ in await asyncio.to_thread(queues.drain, self.broker.url, self.destination)}
        return found


class TestRabbitMq(PublisherFaults):
    @pytest.fixture
    async def harness(self, rabbitmq: RabbitMq) -> AsyncIterator[RabbitMqPlace]:
        queue = f"out.{uuid4().hex[:12]}"
        queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
        async with FaultyRelay(rabbitmq.port) as relay:
            yield RabbitMqPlace(rabbitmq, relay, queue)


@dataclass
class KafkaPlace(BehindRelay):
    broker: Kafka
    relay: FaultyRelay
    destination: str

    def publisher(self) -> KafkaPublisher:
        settings = SinkTopic.model_validate({"bootstrap": [f"127.0.0.1:{self.relay.port}"], "topic": self.destination})
        return KafkaPublisher("out", settings, self.destination, timing=KafkaTiming(request=3.0, close=1.0))

    async def kept(self, count: int) -> Collection[bytes]:
        found: set[bytes] = set()
        async with AIOKafkaConsumer(
            self.destination, bootstrap_servers=self.broker.bootstrap, auto_offset_reset="earliest"
        ) as consumer:
            while len(found) < count:
                found.add((await consumer.getone()).value)
        return found


class TestKafka(PublisherFaults):
    @pytest.fixture
    async def harness(self, kafka: Kafka) -> AsyncIterator[KafkaPlace]:
        topic = f"out-{uuid4().hex[:12]}"
        await create_topic(kafka, topic)
        async with FaultyRelay(kafka.relayed_port, port=kafka.relay_port) as relay:
            yield KafkaPlace(kafka, relay, topic)


@dataclass
class ServiceBusPlace(BehindRelay):
    broker: ServiceBus
    relay: FaultyRelay
    destination: str = "out"

    def publisher(self) -> ServiceBusPublisher:
        at = self.broker.connection_string.replace(f":{self.broker.port};", f":{self.relay.port};")
        given: dict[str, Any] = {"connection": {"connection_string": at}, "queue": self.destination}
        return ServiceBusPublisher("out", SinkEntity.model_validate(given), timeout=3.0)

    async def kept(self, count: int) -> Collection[bytes]:
        return await from_servicebus(self.broker, self.destination, count)


class TestServiceBus(PublisherFaults):
    @pytest.fixture
    async def harness(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServiceBusPlace]:
        close_at_once(monkeypatch)
        async with ServiceBus() as broker, FaultyRelay(broker.port) as relay:
            broker.create_queue("out", QueueSettings())
            yield ServiceBusPlace(broker, relay)


async def from_servicebus(broker: ServiceBus, queue: str, count: int) -> Collection[bytes]:
    """The bodies of a queue, `count` different ones at least."""
    found: set[bytes] = set()
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_receiver(queue) as receiver,
    ):
        while len(found) < count:
            for message in await receiver.receive_messages(max_message_count=100, max_wait_time=1):
                found.add(b"".join(message.body))
                await receiver.complete_message(message)
    return found


@dataclass
class HttpPlace:
    hook: Hook
    relay: FaultyRelay
    destination: str = ""

    def publisher(self) -> HttpPublisher:
        settings = self.hook.settings
        url = f"https://127.0.0.1:{self.relay.port}/in"
        return HttpPublisher("out", SinkUrl.model_validate(settings | {"url": url, "timeout": 3}))

    def hold_answers(self, held: bool = True) -> None:
        self.hook.hold_answers(held)

    async def kept(self, count: int) -> Collection[bytes]:
        while len(found := {json.dumps(each).encode() for each in self.hook.told}) < count:
            await asyncio.sleep(0.02)
        return found


class TestHttp(PublisherFaults):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[HttpPlace]:
        async with Hook(tmp_path / "hook") as hook, FaultyRelay(hook.port) as relay:
            yield HttpPlace(hook, relay)
