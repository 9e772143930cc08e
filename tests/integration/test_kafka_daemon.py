"""The daemon on Kafka: from an event to a push, past poison, outages and kills; what was accepted is accepted once."""

import asyncio
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sandbox.services import PushServices
from tests.brokers.kafka import Kafka
from tests.brokers.topics import create_topic, produce
from tests.integration.daemon import HUB, Daemon, hubs

RULE = {
    "name": "posted",
    "match": {"data": {"customer": {"exists": True}}},
    "push": {
        "to": "customer:{{ data.customer }}",
        "with": {"title": "Debit", "body": "{{ meta.key | default('none') }}"},
    },
}
PATIENCE = 60.0
GOOD = b'{"customer": "c1"}'


def kafka_source(address: str, topic: str, **changes: Any) -> dict[str, Any]:
    receive = {"session_timeout": "3s", "drain_on_revoke": "1s"}
    given = {"bootstrap": [address], "topics": [topic], "group": topic, "start": "earliest", "receive": receive}
    return {"kafka": given | changes, "map": {"type": "posting"}}


def configuration(source: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {"hubs": {HUB: {}}, "rules": [RULE], "sources": {"postings": source}, **changes}


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, name, partitions=2)
    return name


async def until(found: Any, wanted: Any) -> None:
    """Ask until the answer is the one wanted."""
    answer = None
    try:
        async with asyncio.timeout(PATIENCE):
            while (answer := await found()) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{answer} in place of {wanted}") from None


def rows(daemon: Daemon, statement: str) -> int:
    try:
        with daemon.database() as database:
            return int(database.execute(statement).fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


@pytest.mark.processes
async def test_an_event_becomes_a_push_and_poison_goes_to_a_topic_of_its_own(
    kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    dead = f"{topic}.dead"
    await create_topic(kafka, dead)
    async with PushServices(tmp_path) as services:
        phone = services.add_phone("ann", "apns")
        whole = configuration(
            kafka_source(kafka.bootstrap, topic),
            hubs=hubs(services),
            dead_letters={"sources": {"postings": {"kafka": {"topic": dead}}}},
        )
        async with Daemon(tmp_path, whole) as daemon:
            await daemon.start()
            body = '{"aps": {"alert": "$(body)"}}'
            await daemon.register(
                {
                    "installationId": "ann",
                    "platform": "apns",
                    "pushChannel": phone.handle,
                    "tags": ["customer:c1"],
                    "templates": {"alert": {"body": body}},
                }
            )
            async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
                for key, value in ((b"k1", GOOD), (b"k2", b"{"), (b"k3", None), (b"k4", GOOD)):
                    await producer.send_and_wait(topic, value, key=key, partition=0)
            pushed = await services.journal.wait_for(lambda entry: entry.handle == phone.handle, count=2)
            assert sorted(orjson.loads(entry.payload)["aps"]["alert"] for entry in pushed) == ["k1", "k4"]
            async with AIOKafkaConsumer(
                dead, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
            ) as reader:
                letter = await asyncio.wait_for(reader.getone(), PATIENCE)
            headers = dict(letter.headers)
            assert (letter.value, headers["x-pushbridge-reason"]) == (b"{", b"decode")

            async def lag() -> float | None:
                return (await daemon.metrics()).get('pushbridge_ingest_lag_messages{source="postings"}')

            await until(lag, 0)
            assert rows(daemon, "SELECT next_offset FROM kafka_offset WHERE partition = 0") == 4


@pytest.mark.processes
@pytest.mark.slow
async def test_a_daemon_that_is_killed_again_and_again_accepts_each_message_once(
    kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    """Half of the messages are poison: those have no identity but their offset, and one accepted twice has two rows."""
    count, chance = 1500, random.Random(11)

    async def publish() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=2) as producer:
            for number in range(count):
                body = b"{" if number % 2 else b'{"customer": "c%d"}' % number
                await producer.send(topic, body, key=b"k", partition=number // 2 % 2)
                if number % 50 == 0:
                    await asyncio.sleep(0.05)

    async with Daemon(tmp_path, configuration(kafka_source(kafka.bootstrap, topic)), preloaded=True) as daemon:
        publishing = asyncio.create_task(publish())
        accepted = "SELECT (SELECT count(*) FROM notification) + (SELECT count(*) FROM dead_letter)"
        for _ in range(8):
            await daemon.start()  # a look at the store while it opens could keep it from opening
            before = rows(daemon, accepted)
            async with asyncio.timeout(PATIENCE):
                while rows(daemon, accepted) <= before < count:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0, 0.1))
            await daemon.kill()
        await publishing
        await daemon.start()
        await until(lambda: asyncio.to_thread(rows, daemon, accepted), count)
        await daemon.terminate()
        assert rows(daemon, "SELECT count(*) FROM dead_letter") == count // 2
        assert rows(daemon, "SELECT count(*) FROM notification") == count // 2
        assert rows(daemon, "SELECT count(*) FROM seen") == 0  # the offsets say it all


@pytest.mark.timeout(300)  # three starts of Java and two of the daemon: half a minute on idle cores
@pytest.mark.processes
@pytest.mark.slow
async def test_a_broker_that_is_away_at_the_start_and_again_later_costs_nothing(
    kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    await produce(kafka, topic, {b'{"customer": "c1"}': 0})
    await asyncio.to_thread(kafka.stop)
    try:
        async with Daemon(tmp_path, configuration(kafka_source(kafka.bootstrap, topic))) as daemon:
            await daemon.launch()
            await daemon.until_readiness(
                lambda _, lines: any(
                    "postings: connecting: " in line and "Connection refused" in line for line in lines
                )
            )
            await asyncio.to_thread(kafka.start)
            count = "SELECT count(*) FROM notification"
            await until(lambda: asyncio.to_thread(rows, daemon, count), 1)
            await asyncio.to_thread(kafka.kill)
            await asyncio.to_thread(kafka.start)
            await produce(kafka, topic, {b'{"customer": "c2"}': 1})
            await until(lambda: asyncio.to_thread(rows, daemon, count), 2)
            assert await daemon.terminate() == 0
            assert not [line for line in daemon.log() if line["level"] in ("error", "critical")]
    finally:
        await asyncio.to_thread(kafka.start)
