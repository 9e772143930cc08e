"""Topics for tests: made, filled and removed over clients of their own."""

import asyncio
import gzip
import struct
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.record.util import calc_crc32c

from tests.brokers.kafka import Kafka

_KNOWN_WITHIN = 30.0  # seconds
_LENGTH_AT, _CRC_AT, _CODEC_AT, _RECORDS_AT = 8, 17, 22, 61
"""Where a batch has its parts: the length and the checksum are of what follows them."""
_GZIP = 1


async def create_topic(kafka: Kafka, topic: str, *, partitions: int = 1, **settings: str) -> bool:
    """Whether the topic is made, and was not there; `settings` are the broker's, with `_` for `.`.

    Returns when the broker names the topic to clients, which comes a moment after the controller has made it.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        answer = await client.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        made = bool(answer.topic_errors[0][1] == 0)
        async with asyncio.timeout(_KNOWN_WITHIN):
            while made and topic not in await client.list_topics():
                await asyncio.sleep(0.02)
        return made
    finally:
        await client.close()


async def add_partitions(kafka: Kafka, topic: str, count: int) -> None:
    """Give a topic so many partitions; returns when the broker takes messages for all of them."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        await client.create_partitions({topic: NewPartitions(count)})
        async with asyncio.timeout(_KNOWN_WITHIN):
            while len((await client.describe_topics([topic]))[0]["partitions"]) < count:
                await asyncio.sleep(0.02)
    finally:
        await client.close()


async def delete_topic(kafka: Kafka, topic: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        await client.delete_topics([topic])
    finally:
        await client.close()


async def delete_records(kafka: Kafka, topic: str, *, before: int) -> None:
    """Remove all messages of partition 0 before this offset, as retention does."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=before)})
    finally:
        await client.close()


async def produce(kafka: Kafka, topic: str, bodies: Mapping[bytes, int]) -> None:
    """Publish each body to its partition, in order; returns when the broker has all.

    The library's own `async with` leaves a producer open whose start is cancelled.
    """
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5)
    try:
        await producer.start()
        futures = [await producer.send(topic, body, partition=partition) for body, partition in bodies.items()]
        for future in futures:
            await future
    finally:
        await producer.stop()


async def produce_headers(
    kafka: Kafka, topic: str, headers: Mapping[bytes, tuple[bytes, bytes]], *, is_compressed: bool = False
) -> None:
    """Publish bodies, each with a header whose name is any bytes, as one batch of partition 0; clients allow text alone."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        batch = producer.create_batch()
        for number, (body, (name, value)) in enumerate(headers.items()):
            batch.append(timestamp=None, key=None, value=body, headers=[(f"{number:0{len(name)}d}", value)])
        built = bytearray(batch._build())
        for number, (name, _) in enumerate(headers.values()):
            written = b"%c%0*d" % (2 * len(name), len(name), number)  # its length as a varint
            assert built.count(written) == 1
            built[:] = built.replace(written, written[:1] + name)
        if is_compressed:
            built[_RECORDS_AT:] = gzip.compress(bytes(built[_RECORDS_AT:]))
            struct.pack_into(">i", built, _LENGTH_AT, len(built) - _LENGTH_AT - 4)
            built[_CODEC_AT] = _GZIP
        struct.pack_into(">I", built, _CRC_AT, calc_crc32c(bytes(built[_CRC_AT + 4 :])))
        batch._buffer = built
        await (await producer.send_batch(batch, topic, partition=0))
