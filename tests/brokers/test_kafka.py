"""The Kafka that tests run against: what it has taken survives a crash, and a missing one is a failure."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.brokers import kafka as backends
from tests.brokers.kafka import Kafka
from tests.brokers.server import ServerError
from tests.brokers.topics import create_topic


async def test_what_was_confirmed_survives_a_crash(kafka: Kafka) -> None:
    topic = f"t-{uuid4().hex}"
    await create_topic(kafka, topic)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"one", partition=0)
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        assert (await consumer.getone()).value == b"one"


def test_a_missing_server_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_native", lambda: False)
    with pytest.raises(ServerError, match="missing"), backends.native():
        pass
