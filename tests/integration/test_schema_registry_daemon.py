"""The daemon on Kafka with bodies whose schemas are in a registry, which is away at the start, and again later."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from bridge.admin.listener import Listener
from bridge.config.models.listeners import Listen
from sandbox.schema_registry import SchemaRegistryService, framed
from tests.brokers.kafka import Kafka
from tests.brokers.topics import create_topic
from tests.integration.daemon import HUB, Daemon
from tests.integration.test_doctor import doctor
from tests.integration.test_kafka_daemon import kafka_source, rows, until
from tests.ports import free_ports

KEY = {"type": "record", "name": "Key", "fields": [{"name": "customer", "type": "string"}]}
SCORE = {
    "type": "record",
    "name": "acme.Score",
    "fields": [
        {"name": "customer", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
ALERT = {"type": "object", "required": ["customer"], "properties": {"customer": {"type": "string"}}}
RULES = [
    {
        "name": "scored",
        "match": {"data": {"amount": {"gt": 10}}},
        "push": {
            "to": "customer:{{ data.customer }}",
            "with": {"title": "{{ data.amount }}", "body": "{{ meta.key.customer }}"},
        },
    },
    {
        "name": "closed",
        "match": {"meta": {"tombstone": True}},
        "push": {"to": "customer:{{ meta.key.customer }}", "with": {"title": "closed"}},
    },
    {"name": "alerted", "source": "alerts", "push": {"to": "customer:{{ data.customer }}", "with": {"title": "x"}}},
]
ACCEPTED = "SELECT count(*) FROM notification"
DEAD = "SELECT count(*) FROM dead_letter"


def encoded(id: int, schema: Any, value: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return framed(id, stream.getvalue())


def score(id: int) -> bytes:
    amount = (1990).to_bytes(2, "big")
    plain = {
        **SCORE,
        "fields": [*SCORE["fields"][:1], {"name": "amount", "type": "bytes"}, {"name": "at", "type": "long"}],
    }
    return encoded(id, plain, {"customer": "c1", "amount": amount, "at": 1_800_000_000_000})


@asynccontextmanager
async def listening(service: SchemaRegistryService, port: int) -> AsyncIterator[None]:
    listener = Listener(service, Listen("127.0.0.1", port))
    await listener.open()
    try:
        yield
    finally:
        await listener.close()


@pytest.mark.processes
async def test_messages_wait_for_their_schemas_and_no_outage_stops_those_that_are_known(
    kafka: Kafka, tmp_path: Path
) -> None:
    scores, alerts = (f"{name}-{uuid4().hex[:12]}" for name in ("scores", "alerts"))
    await create_topic(kafka, scores)
    await create_topic(kafka, alerts)
    (port,) = free_ports(1)
    service = SchemaRegistryService(users={"bridge": "right"})
    key, value = service.register(f"{scores}-key", KEY), service.register(f"{scores}-value", SCORE)
    shape = service.register(f"{alerts}-value", ALERT, kind="JSON")
    registry = {"url": f"http://127.0.0.1:{port}", "auth": {"basic": {"username": "bridge", "password": "right"}}}
    sources = {
        "scores": kafka_source(kafka.bootstrap, scores)
        | {"decode": {"format": "avro", "key": "avro", "registry": registry}},
        "alerts": kafka_source(kafka.bootstrap, alerts) | {"decode": {"format": "json", "registry": registry}},
    }
    named = encoded(key, KEY, {"customer": "c1"})
    later = 4711
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        Daemon(tmp_path, {"hubs": {HUB: {}}, "rules": RULES, "sources": sources}) as daemon,
    ):

        async def send(*pairs: tuple[bytes | None, bytes | None], topic: str = scores) -> None:
            for each_key, each_value in pairs:
                await producer.send_and_wait(topic, each_value, key=each_key)

        async def are(accepted: int, dead: int) -> None:
            await until(
                lambda: asyncio.to_thread(lambda: (rows(daemon, ACCEPTED), rows(daemon, DEAD))), (accepted, dead)
            )

        await send((named, score(value)), (named, None))
        await daemon.launch()
        await daemon.until_readiness(
            lambda _, lines: any("scores: awaiting_schema: " in line and "schema registry" in line for line in lines)
        )
        metrics = await daemon.metrics()
        assert metrics['pushbridge_schema_awaited_since_timestamp_seconds{source="scores"}'] > 0
        assert metrics['pushbridge_source_up{source="scores"}'] == 0
        assert metrics['pushbridge_source_up{source="alerts"}'] == 1
        assert metrics['pushbridge_schema_lookups_total{result="unreachable",source="scores"}'] > 0
        assert (rows(daemon, ACCEPTED), rows(daemon, DEAD)) == (0, 0)
        code, found = await doctor(tmp_path, {"scores": sources["scores"]})
        assert code != 0
        assert "schema registry" in found["scores"]["text"]

        async with listening(service, port):
            await are(2, 0)
            await daemon.until_ready()
            await send((None, framed(shape, b'{"customer": "c1"}')), (None, framed(shape, b"{}")), topic=alerts)
            await send((named, framed(value, b"\x02")), (b"plain", score(value)))
            await are(3, 3)
            code, found = await doctor(tmp_path, {"scores": sources["scores"]})
            assert (code, found["scores"]["text"]) == (
                0,
                f"schema registry http://127.0.0.1:{port}: answers, and lets us in",
            )

        await send((named, score(value)))  # known, and the registry is away
        await are(4, 3)
        await send((named, score(later)), (named, score(value)))
        await daemon.until_readiness(lambda _, lines: any("scores: awaiting_schema: " in line for line in lines))
        async with listening(service, port):
            await daemon.until_readiness(lambda _, lines: any(f"has no schema {later} yet" in line for line in lines))
            assert (rows(daemon, ACCEPTED), rows(daemon, DEAD)) == (4, 3)
            service.register(f"{scores}-value", {**SCORE, "doc": "the next version"}, id=later)
            await are(6, 3)
        metrics = await daemon.metrics()
        assert metrics['pushbridge_schemas_cached{source="scores"}'] == 3
        assert metrics['pushbridge_schema_awaited_since_timestamp_seconds{source="scores"}'] == 0
        with daemon.database() as database:
            reasons = database.execute("SELECT reason, detail FROM dead_letter ORDER BY reason, detail").fetchall()
            content = database.execute("SELECT DISTINCT content FROM notification").fetchall()
        assert [reason for reason, _ in reasons] == ["decode", "decode", "schema"]
        assert "customer is missing" in reasons[2][1]
        assert any("the key: no schema's id" in detail for _, detail in reasons)
        assert any("19.90" in str(row) for row in content)
        lines = [line for line in daemon.log() if line.get("state") == "awaiting_schema"]
        assert 2 <= len(lines) <= 6, "a trouble is told once for each cause"
        assert orjson.dumps(lines).count(b"right") == 0
        assert await daemon.terminate() == 0
