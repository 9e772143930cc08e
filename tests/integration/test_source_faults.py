"""Every source that has a server, under the same faults of the way there; by a relay, and with no client patched."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from connectors.kafka import KafkaSettings, KafkaSource
from connectors.kafka.timing import Timing as KafkaTiming
from connectors.rabbitmq import RabbitMqSettings, RabbitMqSource, connection
from connectors.rabbitmq.timing import Timing as RabbitMqTiming
from connectors.servicebus import ServiceBusSettings, ServiceBusSource
from connectors.sql import SqlSettings, SqlSource
from connectors.sql.timing import Timing as SqlTiming
from sandbox.servicebus import QueueSettings
from tests.brokers import queues
from tests.brokers.faulty_relay import FaultyRelay
from tests.brokers.kafka import Kafka
from tests.brokers.mariadb import MariaDb
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.servicebus import ServiceBusQueue, opened
from tests.brokers.topics import create_topic, produce
from tests.connectors.fault_behaviour import FaultBehaviour
from tests.connectors.servicebus.quick import IMPATIENT, close_at_once
from tests.integration.sql_databases import SqlDatabase


@dataclass
class RabbitMqFaults:
    broker: RabbitMq
    relay: FaultyRelay
    queue: str

    def source(self) -> RabbitMqSource:
        url = f"amqp://guest:guest@127.0.0.1:{self.relay.port}/%2F"
        given = {"url": url, "queue": {"name": self.queue}, "receive": {"heartbeat": 1}}
        timing = RabbitMqTiming(idle_wait=0.1, backlog_age=0.0, open=3.0, close=0.5)
        return RabbitMqSource("orders", RabbitMqSettings.model_validate(given), timing=timing)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        await asyncio.to_thread(queues.publish, self.broker.url, self.queue, wanted)


class TestRabbitMq(FaultBehaviour):
    @pytest.fixture
    async def harness(self, rabbitmq: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RabbitMqFaults]:
        monkeypatch.setattr(connection, "REPLY_TIMEOUT", 3.0)
        queue = f"faults.{uuid4().hex[:12]}"
        queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
        async with FaultyRelay(rabbitmq.port) as relay:
            yield RabbitMqFaults(rabbitmq, relay, queue)


@dataclass
class KafkaFaults:
    broker: Kafka
    relay: FaultyRelay
    topic: str

    def source(self) -> KafkaSource:
        given = {
            "bootstrap": [f"127.0.0.1:{self.relay.port}"],
            "topics": [self.topic],
            "group": f"g-{self.topic}",
            "start": "earliest",
            "receive": {"session_timeout": 1, "drain_on_revoke": 1},
        }
        timing = KafkaTiming(
            idle_wait=0.2, poll=0.2, backlog_age=0.0, request=3.0, close=2.0, commit_every=0.2, join=10.0
        )
        return KafkaSource("orders", KafkaSettings.model_validate(given), timing=timing)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        await produce(self.broker, self.topic, dict.fromkeys(wanted, 0))


class TestKafka(FaultBehaviour):
    @pytest.fixture
    async def harness(self, kafka: Kafka) -> AsyncIterator[KafkaFaults]:
        topic = f"faults-{uuid4().hex[:12]}"
        await create_topic(kafka, topic)
        async with FaultyRelay(kafka.relayed_port, port=kafka.relay_port) as relay:
            yield KafkaFaults(kafka, relay, topic)


@dataclass
class ServiceBusFaults:
    queue: ServiceBusQueue
    relay: FaultyRelay
    settings: dict[str, Any]

    def source(self) -> ServiceBusSource:
        return ServiceBusSource("orders", ServiceBusSettings.model_validate(self.settings), timing=IMPATIENT)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        await self.queue.put([(body, uuid4().hex) for body in wanted])


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK forgets what it cannot close
class TestServiceBus(FaultBehaviour):
    @pytest.fixture
    async def harness(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServiceBusFaults]:
        close_at_once(monkeypatch)
        settings = QueueSettings(lock_duration=2000, max_delivery_count=2000)
        async with opened("faults", settings) as queue, FaultyRelay(queue.port) as relay:
            given = {**queue.source, "receive": {"max_wait": 1}}
            connection = given["connection"]
            string = connection["connection_string"].replace(f":{queue.port}", f":{relay.port}")
            given["connection"] = {**connection, "connection_string": string}
            yield ServiceBusFaults(queue, relay, given)


@dataclass
class SqlFaults:
    database: SqlDatabase
    url: str
    relay: FaultyRelay

    def source(self) -> SqlSource:
        outbox = {"table": "push_outbox", "id": "id"}
        given = {"url": self.url, "body": "body", "poll": 0.05, "outbox": outbox}
        timing = SqlTiming(idle_wait=0.2, backlog_age=0.0, lock=1.0, connect=2.0, request=3.0, close=0.5, silence=4.0)
        return SqlSource("orders", SqlSettings.model_validate(given), timing=timing)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        insert = "INSERT INTO push_outbox (body) VALUES (%s)"
        await asyncio.to_thread(self.database.run, insert, values=[(body.decode(),) for body in wanted])


class OutboxFaults(FaultBehaviour):
    @pytest.fixture
    def database(self) -> SqlDatabase:
        raise NotImplementedError

    @pytest.fixture
    async def harness(self, database: SqlDatabase) -> AsyncIterator[SqlFaults]:
        database.run(f"CREATE TABLE push_outbox (id {database.key}, body VARCHAR(200))")
        port = int(database.url.rpartition(":")[2].partition("/")[0])
        async with FaultyRelay(port) as relay:
            yield SqlFaults(database, database.url.replace(f":{port}/", f":{relay.port}/"), relay)


class TestPostgres(OutboxFaults):
    @pytest.fixture
    def database(self, postgres: Postgres) -> SqlDatabase:
        name = postgres.create()
        return SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))


class TestMariaDb(OutboxFaults):
    @pytest.fixture
    def database(self, mariadb: MariaDb) -> SqlDatabase:
        name = mariadb.create()
        return SqlDatabase(url=mariadb.url(name), cut=lambda: mariadb.cut(name))
