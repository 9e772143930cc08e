"""A sidecar whose disk goes with its pod: killed with all it wrote, it loses nothing, for nothing was settled before.

The central is a daemon of its own with its store on a disk, and APNs is a stand-in. Both daemons are killed at places that
chance picks, by a seed.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.central import Central
from tests.integration.daemon import Daemon, hubs, register_phone

EVENTS = 240
KILLS = 3
EXIT_BY = 25.0
"""Seconds from SIGTERM to the exit, at most."""

WAITING = 5  # few enough that their failures open no breaker, which would hold them for a minute
PATIENCE = 90.0
"""Seconds without what is waited for, after which a daemon counts as stuck."""


@dataclass(slots=True)
class Pair:
    sidecar: Daemon
    central: Daemon
    services: PushServices

    def lose_the_disk(self) -> None:
        """What becomes of an emptyDir when its pod moves."""
        for file in self.sidecar.database_file.parent.glob("pushbridge.db*"):
            file.unlink()

    def pushed(self) -> dict[str, set[str]]:
        """By what a phone was to show, the ids of the pushes that had it: one, however often it was sent."""
        found: dict[str, set[str]] = defaultdict(set)
        for entry in self.services.journal:
            if entry.accepted:
                found[orjson.loads(entry.payload)["aps"]["alert"]].add(entry.push_id)
        return found

    async def until_pushed(self, count: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(self.pushed()) < count:
                    await asyncio.sleep(0.05)
        assert len(self.pushed()) >= count, self.sidecar.errors()

    async def post(self, number: int) -> int:
        event = {"number": number, "id": f"posted-{number}"}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return (await client.post(f"{self.sidecar.url}/in/orders", json=event)).status_code


@pytest.fixture
def queue() -> str:
    return f"test.sidecar.{uuid4().hex[:8]}"


@pytest.fixture
async def pair(rabbitmq: RabbitMq, queue: str, tmp_path: Path) -> AsyncIterator[Pair]:
    for name in ("sandbox", "sidecar"):
        (tmp_path / name).mkdir()
    async with PushServices(tmp_path / "sandbox") as services:
        central = Central(tmp_path / "central", hubs(services), ca_file=services.ca_file)
        async with central, Daemon(tmp_path / "sidecar", configuration(rabbitmq.url, queue, central)) as here:
            await asyncio.gather(central.daemon.start(), here.start())
            await register_phone(central.daemon, services)
            yield Pair(here, central.daemon, services)


def configuration(url: str, queue: str, central: Central) -> dict[str, Any]:
    number = {"id": "{{ data.id }}", "type": "order"}
    return {
        "sources": {
            "shop": {"rabbitmq": {"url": url, "queue": {"name": queue, "create_if_missing": {}}}, "map": number},
            "posted": {"http": {"path": "/in/orders", "answer_timeout": "2s"}, "map": number},
        },
        "dead_letters": {"sources": {"shop": {"native": True}}},
        "rules": [
            {"name": "order", "push": {"to": "team:all", "with": {"text": "order {{ data.number }}"}}},
            {
                "name": "note",
                "match": {"data": {"note": {"exists": True}}},
                "push": {"to": "team:all", "with": {"text": "{{ data.note }}"}},
            },
        ],
        "hubs": {"mobile": {"remote": central.remote(durability="remote")}},
        "delivery": {"retry": {"backoff": {"base": "1s", "cap": "1s"}}},
    }


async def put(url: str, queue: str, numbers: range) -> None:
    messages = (
        (orjson.dumps({"number": each, "id": f"order-{each}"}), {"message_id": f"m-{each}"}) for each in numbers
    )
    await asyncio.to_thread(queues.put, url, queue, messages)


async def test_a_sidecar_that_is_killed_with_its_disk_loses_no_event_and_pushes_none_as_another(
    rabbitmq: RabbitMq, queue: str, pair: Pair
) -> None:
    chance = random.Random(7)
    pair.services.apns.faults.latency(0.02)
    share = EVENTS // (KILLS + 1)
    for number in range(KILLS + 1):
        await put(rabbitmq.url, queue, range(number * share, (number + 1) * share))
        if number == KILLS:
            break
        await pair.until_pushed(number * share + chance.randrange(1, share // 2))
        await pair.sidecar.kill()
        pair.lose_the_disk()
        if number % 2:
            await pair.central.kill()
            await pair.central.start()
        await pair.sidecar.start()
    await pair.until_pushed(share * (KILLS + 1))
    assert len(pair.pushed()) == share * (KILLS + 1)
    assert {text: len(ids) for text, ids in pair.pushed().items() if len(ids) > 1} == {}, "each under one push id"


async def test_an_event_over_http_is_taken_when_the_hub_has_it_and_not_before(pair: Pair) -> None:
    await pair.central.kill()
    assert await pair.post(1) == httpx.codes.SERVICE_UNAVAILABLE
    await pair.central.start()
    while (status := await pair.post(1)) == httpx.codes.SERVICE_UNAVAILABLE:
        await asyncio.sleep(0.1)
    assert status == httpx.codes.ACCEPTED
    await pair.until_pushed(1)
    assert [len(ids) for ids in pair.pushed().values()] == [1]


async def test_while_the_hub_is_away_messages_stay_with_the_broker(rabbitmq: RabbitMq, queue: str, pair: Pair) -> None:
    await pair.central.kill()
    await put(rabbitmq.url, queue, range(WAITING))
    await pair.sidecar.until_readiness(
        lambda status, lines: any(line.startswith("remote hub mobile: ") for line in lines)
    )
    async with asyncio.timeout(EXIT_BY):
        assert await pair.sidecar.terminate() == 0
    pair.lose_the_disk()
    assert await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=WAITING) == WAITING
    await asyncio.gather(pair.central.start(), pair.sidecar.start())
    await pair.until_pushed(WAITING)


async def test_where_one_rule_is_refused_the_broker_keeps_the_message_and_the_others_are_pushed_once(
    rabbitmq: RabbitMq, queue: str, pair: Pair
) -> None:
    """The dead letter in the store goes with the disk; the message is sent again from the broker."""
    body = orjson.dumps({"number": 1, "id": "order-1", "note": "x" * 70_000})  # a hub takes 64 KiB
    await asyncio.to_thread(queues.publish, rabbitmq.url, queue, [body], message_id="m-1")
    await pair.until_pushed(1)
    dead = f"{queue}.dead-letter"
    assert await asyncio.to_thread(queues.count, rabbitmq.url, dead, expected=1) == 1
    await pair.sidecar.kill()
    pair.lose_the_disk()
    kept = await asyncio.to_thread(queues.drain, rabbitmq.url, dead)
    assert [found for found, _ in kept] == [body]
    await asyncio.to_thread(queues.publish, rabbitmq.url, queue, [body], message_id="m-1")
    await pair.sidecar.start()
    assert await asyncio.to_thread(queues.count, rabbitmq.url, dead, expected=1) == 1
    assert {text: len(ids) for text, ids in pair.pushed().items()} == {"order 1": 1}
