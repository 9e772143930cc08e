"""Bodies in a wrapping, and CloudEvents in AMQP's own types, from a real broker to what a phone would show."""

import asyncio
import gzip
import zlib
from functools import partial
from pathlib import Path
from uuid import uuid4

from sandbox.servicebus import QueueSettings
from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.types import Symbol, Timestamp
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.raw_amqp import RawPublisher, entry, with_headers
from tests.connectors.servicebus.fields import application_properties
from tests.connectors.servicebus.harness import harness as new_harness
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon
from tests.integration.test_servicebus_daemon import servicebus

gzipped = partial(gzip.compress, mtime=0)  # all workers have to collect the same tests

BODY = '{"name": "Zürich"}'.encode()
STRING = b"@\x06string\x08\x33http://schemas.microsoft.com/2003/10/Serialization/"
WRAPPED = STRING + b"\x9a" + len(BODY).to_bytes(2, "little") + BODY + b"\x01"
TAKEN: list[tuple[bytes, str | None]] = [
    (gzipped(BODY), "gzip"),
    (gzipped(BODY), None),
    (zlib.compress(BODY), "deflate"),
    (WRAPPED, None),
    (gzipped(WRAPPED), "gzip"),
    (BODY.decode().encode("utf-16"), None),
    (BODY.decode().encode("latin-1"), None),
    (BODY, "utf-8"),
]
"""Bodies with their content encoding; each says Zürich."""

BOMB = gzipped(b" " * 50_000_000)
REFUSED: list[tuple[bytes, str, str, str]] = [
    (BODY, "gzip", "decode", "content encoding gzip: the body is not gzip, or is damaged"),
    (BODY, "lz4", "decode", "content encoding lz4 is not supported: send gzip, deflate, br, zstd, or none"),
    (BOMB, "gzip", "too_large", "the unpacked body has more than 1048576 bytes, which is the limit"),
]  # fmt: skip
POLICY = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
RULE = {"name": "seen", "push": {"to": "team:hr", "with": {"seen": "{{ data.name }}"}}}
EVENT = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t"}
EVENT_RULES = [
    {"name": "time", "push": {"to": "team:hr", "with": {"seen": "{{ time }} {{ type }}"}}},
    {"name": "data", "push": {"to": "team:hr", "with": {"seen": "{{ data.name }}"}}},
]
SECONDS = 1_772_484_600  # 2026-03-02T20:50:00Z


def notifications(daemon: Daemon) -> int:
    with daemon.database() as database:
        count: int = database.execute("SELECT count(*) FROM notification").fetchone()[0]
        return count


async def test_rabbitmq_hands_over_wrapped_bodies_and_a_bad_one_costs_itself(
    rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    queue = f"test.{uuid4().hex[:12]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    bad = [(body, {"content_encoding": name}) for body, name, _, _ in REFUSED]
    good = [(body, {} if name is None else {"content_encoding": name}) for body, name in TAKEN]
    await asyncio.to_thread(queues.put, rabbitmq.url, queue, bad + good)
    decode = {"format": "json", "encoding": "latin-1"}
    configuration = {
        "hubs": {HUB: {"access_policies": [POLICY]}},
        "rules": [RULE],
        "sources": {"orders": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}}, "decode": decode}},
    }
    async with Daemon(tmp_path, configuration) as daemon:
        await daemon.start()
        await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=0)
        async with asyncio.timeout(60):  # the last ones have left the queue, and are given back by an end now
            while notifications(daemon) < len(TAKEN):
                await asyncio.sleep(0.05)
        assert await daemon.terminate() == 0
        with daemon.database() as database:
            letters = database.execute("SELECT reason, detail FROM dead_letter ORDER BY n").fetchall()
            seen = [bytes(row[0]).decode() for row in database.execute("SELECT content FROM notification").fetchall()]
    queues.delete(rabbitmq.url, queue)
    assert letters == [(reason, detail) for _, _, reason, detail in REFUSED]
    assert len(seen) == len(TAKEN)
    assert all("Zürich" in content for content in seen)


async def test_a_cloudevent_of_rabbitmq_may_have_a_native_time_and_opaque_data(
    rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    queue = f"test.{uuid4().hex[:12]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "classic"})
    attributes = b"".join(
        entry(f"cloudEvents:{name}", b"S" + len(text).to_bytes(4) + text.encode()) for name, text in EVENT.items()
    )
    with RawPublisher(rabbitmq.port) as publisher:
        time = entry("cloudEvents:time", b"T" + SECONDS.to_bytes(8))
        publisher.publish(queue, b"\x00\x01thrift", with_headers(attributes + time))
    configuration = {
        "hubs": {HUB: {"access_policies": [POLICY]}},
        "rules": EVENT_RULES,
        "sources": {
            "orders": {
                "rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}},
                "decode": {"format": "cloudevents"},
            }
        },
    }
    async with Daemon(tmp_path, configuration) as daemon:
        await daemon.start()
        await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=0)
        assert await daemon.terminate() == 0
        with daemon.database() as database:
            letters = database.execute("SELECT rule, detail FROM dead_letter").fetchall()
            ((content,),) = database.execute("SELECT content FROM notification").fetchall()
    queues.delete(rabbitmq.url, queue)
    assert "2026-03-02T20:50:00Z t" in str(content)
    assert letters == [("data", "data is binary data without a content type, which is not read")]


async def test_service_bus_hands_over_a_native_time_and_wrapped_and_compressed_data(tmp_path: Path) -> None:
    entries = b"".join(encode(f"cloudEvents:{name}") + encode(text) for name, text in EVENT.items())
    entries += encode("cloudEvents:time") + encode(Timestamp(SECONDS * 1000))
    properties = [None, None, None, None, None, None, Symbol("application/json"), Symbol("gzip")]
    payload = (
        encode_described(0x73, encode(properties))
        + application_properties(entries, 2 * len(EVENT) + 2)
        + encode_described(0x75, encode(gzipped(WRAPPED)))
    )
    async with new_harness(QueueSettings()) as harness:
        source = servicebus(harness.broker) | {"decode": {"format": "cloudevents"}}
        rules = [RULE | {"push": {"to": "team:hr", "with": {"seen": "{{ time }} {{ data.name }}"}}}]
        whole = {"hubs": {HUB: {"access_policies": [POLICY]}}, "rules": rules, "sources": {"postings": source}}
        async with Daemon(tmp_path, whole) as daemon:
            await daemon.start()
            await harness.send_raw(payload)
            await harness.until(completed=1)
            with daemon.database() as database:
                rows = database.execute("SELECT content FROM notification").fetchall()
    assert ["2026-03-02T20:50:00Z Zürich" in bytes(content).decode() for (content,) in rows] == [True]
