"""Nights of sources: one over its rate, one whose schema is nowhere, one whose group does not come to rest."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx

from connectors.kafka import KafkaSource
from sandbox.schema_registry import framed
from sandbox.services import PushServices
from tests.brokers.kafka import Kafka
from tests.brokers.topics import create_topic, produce
from tests.integration.daemon import HUB, Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_kafka_daemon import RULE, kafka_source
from tests.integration.test_kafka_source import QUICK, settings
from tests.integration.test_operator import configuration, post
from tests.ports import free_ports


@asynccontextmanager
async def limited(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """Senders over HTTP who post more than the source's rate allows."""
    config = configuration(services)
    config["sources"]["orders"]["rate"] = {"per_second": 2, "burst": 2}
    async with Daemon(directory, config) as daemon:
        await daemon.start()
        yield Night(daemon, services, directory)


@asynccontextmanager
async def kafka_night(services: PushServices, directory: Path, kafka: Kafka) -> AsyncIterator[Night]:
    """A group whose members come and go, and messages with a schema of a registry that is not there."""
    restless, scores = f"restless-{uuid4().hex[:8]}", f"scores-{uuid4().hex[:8]}"
    for topic in (restless, scores):
        await create_topic(kafka, topic)
    (dead,) = free_ports(1)
    sources = {
        "restless": kafka_source(kafka.bootstrap, restless),
        "scores": kafka_source(kafka.bootstrap, scores)
        | {"decode": {"format": "avro", "registry": {"url": f"http://127.0.0.1:{dead}"}}},
    }
    await produce(kafka, scores, {framed(7, b"\x02"): 0})
    config = {"hubs": {HUB: {}}, "rules": [RULE], "sources": sources}
    async with Daemon(directory, config) as daemon:
        await daemon.launch()
        await daemon.until_readiness(lambda status, _: status in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE))
        yield KafkaNight(daemon, services, directory, kafka=kafka, topic=restless)


class KafkaNight(Night):
    """With a stranger in the group of the source `restless`."""

    def __init__(self, daemon: Daemon, services: PushServices, directory: Path, *, kafka: Kafka, topic: str) -> None:
        super().__init__(daemon, services, directory)
        self._kafka, self._topic = kafka, topic

    async def stranger(self) -> None:
        """Joins the group and leaves it, a few times."""
        for _ in range(4):
            source = KafkaSource("stranger", settings(self._kafka, self._topic, group=self._topic), timing=QUICK)
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await source.connect()
            await source.close()


async def too_many(night: Night) -> None:
    """Many at once, as one alone may take longer than the rate allows on a busy machine."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        await asyncio.gather(*(post(night.daemon, uuid4().hex) for _ in range(10)))


async def restless(night: Night) -> None:
    assert isinstance(night, KafkaNight)
    await night.stranger()


SCENES: Mapping[str, Scene] = {"too many": limited, "Kafka": kafka_night}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeSourceLimited": Fault(scene="too many", prints=r"orders +limited .*2 a second", make=too_many),
    "PushbridgeSchemaMissing": Fault(scene="Kafka", prints=r"scores +awaiting_schema .*127\.0\.0\.1"),
    "PushbridgeSourceRebalances": Fault(
        scene="Kafka", prints=r"restless +running .*rebalanced \d+ times", make=restless
    ),
}
