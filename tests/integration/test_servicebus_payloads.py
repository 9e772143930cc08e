"""Whatever a sender writes into a message of Service Bus costs that message at most: through the SDK, which goes on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ACK
from sandbox.servicebus import QueueSettings
from sandbox.servicebus.amqp.encoding import encode, encode_described
from tests.connectors.behaviour import bodies, bodies_of, take
from tests.connectors.servicebus.fields import FIELDS, TOO_DEEP, UNREADABLE, application_properties, nested
from tests.connectors.servicebus.harness import ServiceBusHarness, connection
from tests.connectors.servicebus.harness import harness as new_harness
from tests.connectors.servicebus.quick import close_at_once
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon
from tests.integration.test_servicebus_daemon import configuration, debit, servicebus

GOOD = bodies(20)
BODY = encode_described(0x75, encode(b"hostile"))
HOSTILE: list[tuple[bytes, dict[str, Any]]] = [
    *(
        (application_properties(encode("h") + field, 2) + BODY, {"headers": {"h": value}, "unreadable": ""})
        for field, value in FIELDS
    ),
    *(
        (application_properties(encode("h") + field, 2) + BODY, {"unreadable": f"application properties: {problem}"})
        for field, problem in UNREADABLE
    ),
    *((encode_described(0x77, field), {"unreadable": f"body: {problem}"}) for field, problem in UNREADABLE),
    (encode_described(0x76, nested("list", 300)), {"unreadable": f"body: {TOO_DEEP}"}),
    (encode_described(0x73, encode([b"\xff\xfe"])) + BODY, {"id": "\\xff\\xfe", "unreadable": ""}),
    (encode_described(0x73, b"\xc0\x05\x01\xa1\x02\xff\xfe") + BODY, {"id": "\\xff\\xfe", "unreadable": ""}),
]
"""Sections as they are sent, and what is true of the message that has them."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


@pytest.fixture
async def harness() -> AsyncIterator[ServiceBusHarness]:
    async with new_harness(QueueSettings()) as harness:
        yield harness


async def test_a_message_of_any_bytes_arrives_once_and_the_good_ones_behind_it_at_once(
    harness: ServiceBusHarness,
) -> None:
    source = await harness.connect()
    await harness.send_raw(*(payload for payload, _ in HOSTILE))
    assert (await source.backlog()).messages == len(HOSTILE)
    await harness.publish(GOOD)
    messages = await take(source, len(HOSTILE) + len(GOOD))
    assert bodies_of(messages)[len(HOSTILE) :] == GOOD
    for message, (payload, expected) in zip(messages, HOSTILE, strict=False):
        assert (payload, {name: getattr(message, name) for name in expected}) == (payload, expected)
    await source.settle([(message, ACK) for message in messages])
    counts = harness.queue.counts
    assert (counts.delivered, counts.completed) == (len(messages), len(messages))


async def test_looking_at_a_message_of_any_bytes_does_not_end_the_connection(harness: ServiceBusHarness) -> None:
    refused = connection(harness.broker) | {"administration": "http://127.0.0.1:9"}  # so the backlog is looked at
    source = harness.another(connection=refused)
    await source.connect()
    await harness.send_raw(*(payload for payload, _ in HOSTILE))
    assert (await source.backlog()).messages
    assert len(await take(source, len(HOSTILE))) == len(HOSTILE)


@pytest.mark.parametrize("kind", ["list", "map"])
@pytest.mark.parametrize("section", [0x76, 0x77])
async def test_a_body_nested_300_deep_is_dead_lettered_by_us_and_the_source_stays_up(
    tmp_path: Path, kind: str, section: int
) -> None:
    deep = nested(kind, 300)
    body = deep if section == 0x77 else b"\xd0" + (len(deep) + 4).to_bytes(4) + (1).to_bytes(4) + deep
    async with (
        new_harness(QueueSettings()) as harness,
        Daemon(tmp_path, configuration({"postings": servicebus(harness.broker)})) as daemon,
    ):
        await daemon.start()
        await harness.send_raw(encode_described(section, body))
        await harness.send(*map(debit, range(20)))
        await harness.until(completed=20, dead_lettered=1)
        states = [line["state"] for line in daemon.log() if line["event"] == "source"]
        (letter,) = [line for line in daemon.log() if line["event"] == "dead letter"]
        (dead,) = await harness.dead_letters(1)
    assert states == ["running"]
    assert (letter["reason"], letter["detail"]) == ("decode", f"body: {TOO_DEEP}")
    assert dead.properties["dead_letter_reason"] == "decode"
    assert dead.properties["dead_letter_error_description"] == f"body: {TOO_DEEP}"


async def test_rules_see_the_values_that_were_sent(tmp_path: Path) -> None:
    seen = "{{ meta.headers.double }} {{ meta.headers.decimal }} {{ meta.headers.double + 1 }} {{ meta.headers.raw }}"
    rule = {"name": "posted", "push": {"to": "team:hr", "with": {"seen": seen}}}
    entries = (
        encode("double") + encode(0.75) + encode("raw") + encode(b"\x00\xff")
        + encode("decimal") + b"\x94" + ((6176 - 2) << 113 | 1995).to_bytes(16)
    )  # fmt: skip
    policy = {"name": KEY_NAME, "rights": ["Listen", "Send", "Manage"], "key": KEY}
    async with new_harness(QueueSettings()) as harness:
        sources = {"postings": servicebus(harness.broker)}
        whole = {"hubs": {HUB: {"access_policies": [policy]}}, "rules": [rule], "sources": sources}
        async with Daemon(tmp_path, whole) as daemon:
            await daemon.start()
            await harness.send_raw(application_properties(entries, 6) + encode_described(0x75, encode(b"{}")))
            await harness.until(completed=1)
            with daemon.database() as database:
                ((content,),) = database.execute("SELECT content FROM notification").fetchall()
    assert "0.75 19.95 1.75 AP8=" in str(content)
