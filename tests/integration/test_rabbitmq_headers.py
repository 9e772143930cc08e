"""Whatever a publisher writes into the headers of RabbitMQ costs its message at most: the queue flows on."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connectors.base import ACK, Message
from connectors.rabbitmq import RabbitMqSettings, RabbitMqSource
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.raw_amqp import RawPublisher, entry, nested, short, with_headers, with_properties
from tests.connectors.behaviour import bodies, bodies_of, take
from tests.connectors.rabbitmq.fields import FIELDS, NAMES
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon

GOOD = bodies(20)
HOSTILE: list[tuple[bytes, dict[str, Any]]] = [
    (with_properties({7: short(b"\xff\xfe")}), {"id": "\\xff\\xfe"}),
    (with_properties({15: short(b"text/\xff")}), {"content_type": "text/\\xff"}),
    (with_properties({10: short(b"\xff")}), {}),
    (with_properties({6: b"\xff" * 8}), {"enqueued_at": None}),
    (with_headers(entry("h", nested("F", 300))), {"unreadable": "headers are nested deeper than 64 levels"}),
    (with_headers(entry("h", nested("A", 5000))), {"unreadable": "headers are nested deeper than 64 levels"}),
    *((with_headers(entry(name, b"t\x01")), {"headers": {shown: True}}) for name, shown in NAMES),
    *((with_headers(entry("h", field)), {"headers": {"h": value}, "unreadable": ""}) for field, value in FIELDS),
]
"""Properties as they are sent, and what is true of the message that has them."""


def make_queue(rabbitmq: RabbitMq, kind: str) -> str:
    queue = f"test.{uuid4().hex[:12]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": kind})
    return queue


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_a_message_with_any_properties_arrives_and_the_good_ones_behind_it_at_once(
    rabbitmq: RabbitMq, kind: str
) -> None:
    queue = make_queue(rabbitmq, kind)

    def publish() -> None:
        with RawPublisher(rabbitmq.port) as publisher:
            for properties, _ in HOSTILE:
                publisher.publish(queue, b"hostile", properties)
        queues.publish(rabbitmq.url, queue, GOOD)

    await asyncio.to_thread(publish)
    source = RabbitMqSource("orders", RabbitMqSettings.model_validate({"url": rabbitmq.url, "queue": {"name": queue}}))
    await source.connect()
    messages = await take(source, len(HOSTILE) + len(GOOD))
    assert bodies_of(messages)[len(HOSTILE) :] == GOOD
    for message, (properties, expected) in zip(messages, HOSTILE, strict=False):
        found = {name: getattr(message, name) for name in expected}
        assert (properties, found) == (properties, expected)
        assert (message.body, message.delivery_count) == (b"hostile", 1)
    await source.settle([(message, ACK) for message in messages])
    await source.close()
    assert await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=0) == 0
    await asyncio.to_thread(queues.delete, rabbitmq.url, queue)


async def test_a_routing_key_of_any_bytes_is_text(rabbitmq: RabbitMq) -> None:
    queue = make_queue(rabbitmq, "classic")
    with queues.channel(rabbitmq.url) as channel:
        channel.queue_bind(queue, "amq.topic", "#")
    with RawPublisher(rabbitmq.port) as publisher:
        publisher.publish(queue, b"", with_headers(b""), exchange="amq.topic", key=b"order.\xff")
    source = RabbitMqSource("orders", RabbitMqSettings.model_validate({"url": rabbitmq.url, "queue": {"name": queue}}))
    await source.connect()
    (message,) = await take(source, 1)
    await source.close()
    queues.delete(rabbitmq.url, queue)
    assert isinstance(message, Message)
    assert message.properties["routing_key"] == "order.\\xff"


SEEN = [
    ("{{ meta.headers.h }}", b"d" + b"\x3f\xe8" + bytes(6), "0.75"),
    ("{{ meta.headers.h + 1 }}", b"d" + b"\x3f\xe8" + bytes(6), "1.75"),
    ("{{ meta.headers.h }}", b"D\x02\x00\x00\x07\xcb", "19.95"),
    ("{{ meta.headers.h }}", b"T" + (1_772_000_000_000).to_bytes(8), "1772000000000"),
    ("{{ meta.headers.h }}", b"x\x00\x00\x00\x03\x00\xff\x10", "AP8Q"),
    ("{{ meta.headers.h.n }}", nested("F", 1, b"t\x01"), "true"),
]
"""What a text of a rule makes of the header `h`."""


async def test_rules_and_dead_letters_see_what_was_sent_and_only_the_unreadable_is_a_dead_letter(
    rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    queue = make_queue(rabbitmq, "quorum")
    rules = [
        {
            "name": f"r{number}",
            "match": {"meta": {"headers": {"row": number}}},
            "push": {"to": "team:hr", "with": {"seen": text, "missing": "{{ data.missing }}"}},
        }
        for number, (text, _, _) in enumerate(SEEN)
    ]
    kept = [
        {"name": f"k{number}", "match": rule["match"], "push": {"to": "team:hr", "with": {"seen": SEEN[number][0]}}}
        for number, rule in enumerate(rules)
    ]
    configuration = {
        "hubs": {HUB: {"access_policies": [{"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}]}},
        "rules": rules + kept,
        "sources": {
            "orders": {"rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}}, "decode": {"format": "json"}}
        },
    }
    with RawPublisher(rabbitmq.port) as publisher:
        publisher.publish(queue, b"{}", with_headers(entry("h", nested("F", 300))))
        for number, (_, field, _) in enumerate(SEEN):
            publisher.publish(queue, b"{}", with_headers(entry("row", bytes([ord("b"), number])) + entry("h", field)))
    async with Daemon(tmp_path, configuration) as daemon:
        await daemon.start()
        await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=0)
        assert await daemon.terminate() == 0
        with daemon.database() as database:
            letters = database.execute("SELECT rule, reason, detail, headers FROM dead_letter ORDER BY n").fetchall()
            seen = [row[0] for row in database.execute("SELECT content FROM notification ORDER BY n").fetchall()]
    queues.delete(rabbitmq.url, queue)
    assert [letter[:3] for letter in letters if letter[1] == "decode"] == [
        ("", "decode", "headers are nested deeper than 64 levels")
    ]
    assert len(seen) == len(SEEN)
    for content, (_, _, text) in zip(seen, SEEN, strict=True):
        assert f'"{text}"' in str(content)
    assert [letter[0] for letter in letters if letter[0]] == [rule["name"] for rule in rules]
