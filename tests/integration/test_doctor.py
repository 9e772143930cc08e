"""`pushbridge doctor` tells of each source whether it could start, and nothing is consumed or created for that."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connectors.errors import TopologyError
from connectors.rabbitmq.entry import RABBITMQ
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.servicebus.entry import SERVICE_BUS
from sandbox.servicebus import QueueSettings
from tests.brokers import queues
from tests.brokers.kafka import Kafka
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.topics import create_topic
from tests.connectors.behaviour import take
from tests.connectors.servicebus.harness import harness as servicebus
from tests.connectors.servicebus.harness import settings as servicebus_settings
from tests.integration.daemon import HUB
from tests.integration.outboxes import CREATE, INSERT
from tests.integration.sql_databases import SqlDatabase


async def doctor(directory: Path, sources: Mapping[str, Any]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and what was found of each source."""
    path = directory / "bridge.yaml"
    store = {"allow_memory": True}
    path.write_text(json.dumps({"version": 1, "bridge": {"store": store}, "hubs": {HUB: {}}, "sources": sources}))
    command = [sys.executable, "-m", "bridge", "doctor", "--json", str(path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)["sources"]}


@pytest.mark.processes
async def test_each_source_is_looked_at_and_what_is_missing_is_named_with_a_cure(
    rabbitmq: RabbitMq, kafka: Kafka, postgres: Postgres, tmp_path: Path
) -> None:
    queue = f"test.doctor.{uuid4().hex[:8]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    queues.publish(rabbitmq.url, queue, [b"{}"])
    topic = f"t-{uuid4().hex[:12]}"
    await create_topic(kafka, topic)
    name = postgres.create()
    database = SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))
    database.run(CREATE.format(key=database.key))
    database.run(INSERT, values=[("a", "c1")])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    good = {
        "rabbit": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}}},
        "kafka": {"kafka": {"bootstrap": [kafka.bootstrap], "topics": [topic]}},
        "sql": {"sql": {"url": database.url, "outbox": {"table": "push_outbox", "id": "id"}}},
        "files": {"files": {"path": str(tmp_path / "in")}},
        "web": {"http": {"path": "/in"}},
    }
    code, found = await doctor(tmp_path, good)
    assert code == 0, found
    assert {each["health"] for each in found.values()} == {"ok"}
    ((_, properties),) = queues.drain(rabbitmq.url, queue)
    assert "x-delivery-count" not in (properties.get("headers") or {})
    assert database.run("SELECT count(*) FROM push_outbox") == [(1,)]
    assert (tmp_path / "in" / "a.txt").exists()

    bad = {
        "rabbit": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": f"{queue}.none"}}},
        "kafka": {"kafka": {"bootstrap": [kafka.bootstrap], "topics": [f"{topic}.none"]}},
        "sql": {"sql": {"url": database.url, "outbox": {"table": "push_outbox", "id": "seq"}}},
        "files": {"files": {"path": str(tmp_path / "none")}},
        "away": {"rabbitmq": {"url": "amqp://guest:guest@127.0.0.1:1/", "queue": {"name": queue}}},
    }
    code, found = await doctor(tmp_path, bad)
    assert code == 4
    assert {each["health"] for each in found.values()} == {"failed"}
    assert all(each["cure"] for each in found.values())
    for source, said in (("rabbit", "none"), ("kafka", "no topic"), ("sql", "no column 'seq'"), ("files", "No such")):
        assert said in found[source]["text"]


async def test_nothing_is_created_at_rabbitmq(rabbitmq: RabbitMq) -> None:
    queue = f"test.doctor.{uuid4().hex[:8]}"
    given = {"url": rabbitmq.url, "queue": {"name": queue, "create_if_missing": {}}}
    assert RABBITMQ.probe is not None
    await RABBITMQ.probe("orders", RabbitMqSettings.model_validate(given))
    without = RabbitMqSettings.model_validate({**given, "queue": {"name": queue}})
    with pytest.raises(TopologyError, match=queue):
        await RABBITMQ.probe("orders", without)


async def test_a_message_of_service_bus_stays_with_the_count_of_its_deliveries() -> None:
    assert SERVICE_BUS.probe is not None
    async with servicebus(QueueSettings()) as harness:
        await harness.publish([b"{}"])
        await SERVICE_BUS.probe("hr", servicebus_settings(harness.broker))
        source = await harness.connect()
        (message,) = await take(source, 1)
        assert message.delivery_count == 1
        sessions = servicebus_settings(harness.broker, receive={"sessions": {}})
        with pytest.raises(TopologyError, match="has no sessions"):
            await SERVICE_BUS.probe("hr", sessions)
