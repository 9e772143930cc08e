"""How postings come to a consumer, one way a broker: where they are put, how the daemon reads them, what is left.

Each way is a context that starts its broker, on the cores of the caller, and ends it.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.bare import QUEUE, TABLE, TOPIC
from benchmarks.postings import posting
from connectors.base import OutMessage
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings
from tests.brokers import queues
from tests.brokers.kafka import Kafka
from tests.brokers.kafka import native as native_kafka
from tests.brokers.postgres import native as native_postgres
from tests.brokers.rabbitmq import native as native_rabbitmq
from tests.brokers.topics import create_topic
from tests.ports import free_ports

GROUP = "daemon"
_TOGETHER = 1000
_CONNECTIONS = 64
_PARTITIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A broker with nothing in it.

    `send` puts the postings of these numbers there, and returns when the broker has them. `unsettled` says how many are
    left when no consumer runs. `bare` names a client of `benchmarks/bare.py` and its address. What `is_pushed` needs a
    consumer that listens at `port` before anything is sent. A broker that `keeps` what was read has it for other groups.
    """

    name: str
    source: Mapping[str, Any]
    send: Callable[[range], None]
    unsettled: Callable[[], int]
    bare: tuple[str, str]
    port: int | None = None
    keeps: bool = False

    @property
    def is_pushed(self) -> bool:
        return self.port is not None


@contextmanager
def rabbitmq(phones: int) -> Iterator[Way]:
    """A quorum queue."""
    with native_rabbitmq() as broker:
        queues.declare(broker.url, QUEUE, {"x-queue-type": "quorum"})
        yield Way(
            name="rabbitmq",
            source={
                "rabbitmq": {"url": broker.url, "queue": {"name": QUEUE}, "receive": {"prefetch": 2000}},
            },
            send=lambda numbers: asyncio.run(_publish(broker.url, numbers, phones)),
            unsettled=lambda: _ready(broker.url),
            bare=("pika", broker.url),
        )


async def _publish(url: str, numbers: range, phones: int) -> None:
    publisher = RabbitMqPublisher("bench", RabbitMqPublisherSettings.model_validate({"url": url}))
    await publisher.connect()
    for part in _parts(numbers):
        await publisher.publish(
            [
                OutMessage(
                    id=str(number),
                    body=posting(number, phones),
                    destination=QUEUE,
                    content_type="application/json",
                )
                for number in part
            ]
        )
    await publisher.close()


def _ready(url: str) -> int:
    with queues.channel(url) as broker:
        return int(broker.queue_declare(QUEUE, passive=True).method.message_count)


@contextmanager
def kafka(phones: int) -> Iterator[Way]:
    """A topic of four partitions; keys spread the postings over them."""
    with native_kafka() as broker:
        asyncio.run(create_topic(broker, TOPIC, partitions=_PARTITIONS))
        yield Way(
            name="kafka",
            source={
                "kafka": {
                    "bootstrap": [broker.bootstrap],
                    "topics": [TOPIC],
                    "group": GROUP,
                    "start": "earliest",
                    "receive": {"max_in_flight": 2000},
                }
            },
            send=lambda numbers: asyncio.run(_produce(broker, numbers, phones)),
            unsettled=lambda: asyncio.run(_lag(broker)),
            bare=("aiokafka", broker.bootstrap),
            keeps=True,
        )


async def _produce(broker: Kafka, numbers: range, phones: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=20, max_batch_size=65536) as producer:
        for part in _parts(numbers):
            await asyncio.gather(
                *[
                    await producer.send(TOPIC, posting(number, phones), key=str(number % phones).encode())
                    for number in part
                ]
            )


async def _lag(broker: Kafka) -> int:
    """What the topic holds beyond what the daemon's group has committed."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    partitions = [TopicPartition(TOPIC, number) for number in range(_PARTITIONS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        committed = await admin.list_consumer_group_offsets(GROUP)
        return sum(ends[each] - committed[each].offset for each in partitions)
    finally:
        await consumer.stop()
        await admin.close()


@contextmanager
def http(phones: int) -> Iterator[Way]:
    """A request an event, on 64 connections that stay open; each waits for its answer."""
    (port,) = free_ports(1)
    yield Way(
        name="http",
        source={"http": {"path": "/in/bank"}},
        send=lambda numbers: asyncio.run(_post(port, numbers, phones)),
        unsettled=lambda: 0,  # `send` ends when each has its 202
        bare=("uvicorn", str(port)),
        port=port,
    )


async def _post(port: int, numbers: range, phones: int) -> None:
    waiting = iter(numbers)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in waiting:
            body = posting(number, phones)
            writer.write(
                b"POST /in/bank HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"a posting was refused: {head!r}")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()

    await _await_listener(port)
    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))


async def _await_listener(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@contextmanager
def sql(phones: int) -> Iterator[Way]:
    """An outbox in PostgreSQL, whose rows are deleted."""
    with native_postgres() as server:
        url = server.url(server.create())
        with psycopg.connect(url) as connection:
            connection.execute(
                f"CREATE TABLE {TABLE} (seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, body TEXT)"
            )
        yield Way(
            name="sql",
            source={"sql": {"url": url, "outbox": {"table": TABLE, "id": "seq"}, "body": "body", "poll": "50ms"}},
            send=lambda numbers: _insert(url, numbers, phones),
            unsettled=lambda: _rows(url),
            bare=("psycopg", url),
        )


def _insert(url: str, numbers: range, phones: int) -> None:
    statement = f"COPY {TABLE} (body) FROM STDIN"
    with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for number in numbers:
            copy.write_row((posting(number, phones).decode(),))


def _rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def files(phones: int, directory: Path) -> Iterator[Way]:
    """Files of 10,000 lines."""
    directory.mkdir()
    names = count()

    def write(numbers: range) -> None:
        for part in _parts(numbers, 10_000):
            written = directory / "next.tmp"
            written.write_bytes(b"".join(posting(number, phones) + b"\n" for number in part))
            written.rename(directory / f"{next(names):06}.jsonl")

    yield Way(
        name="files",
        source={
            "files": {"path": str(directory), "pattern": "*.jsonl", "records": "lines", "settle": "0s", "poll": "50ms"}
        },
        send=write,
        unsettled=lambda: len([path for path in directory.rglob("*.jsonl*") if path.is_file()]),
        bare=("lines", str(directory)),
    )
    shutil.rmtree(directory)


def _parts(numbers: range, size: int = _TOGETHER) -> Sequence[range]:
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]
