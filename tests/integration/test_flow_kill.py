"""A daemon over PostgreSQL that is killed amid flow control: each event is counted once, and what waits goes out once."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import Daemon
from tests.integration.on_postgres import register, settings_of

EVENTS, KEYS, KILLS = 1200, 6, 4
KINDS = ("once", "spike", "seat", "held")
PATIENCE = 200.0


def rules() -> list[dict[str, Any]]:
    """One of each kind."""

    def rule(kind: str, text: str, **more: Any) -> dict[str, Any]:
        return {
            "name": kind,
            "match": {"data": {"kind": kind}},
            "push": {"to": "team:all", "with": {"text": f"{kind} {text}"}},
            **more,
        }

    key = "{{ data.key }}"
    return [
        rule("once", key, dedupe={"key": key, "for": "1h"}),
        rule(
            "spike",
            f"{key} {{{{ digest.count }}}}",
            throttle={"key": key, "max": 2, "per": "15s", "on_excess": "digest"},
        ),
        rule("seat", f"{key} {{{{ data.number }}}}", key=key, order="key"),
        rule("held", "{{ data.number }}", quiet_hours={"window": "now", "on_quiet": "hold"}),
    ]


def pushed(services: PushServices) -> list[list[str]]:
    """The words of what reached the phone, in order; a repeat under the same push id is left out."""
    first = {entry.push_id: entry for entry in reversed(list(services.journal))}
    entries = sorted(first.values(), key=lambda entry: entry.seq)
    return [json.loads(entry.payload)["aps"]["alert"].split() for entry in entries]


def counted(services: PushServices) -> int:
    """How many events the pushes account for; those that `once` keeps back account for none."""
    return sum(int(words[2]) if words[0] == "spike" else 1 for words in pushed(services))


@pytest.mark.processes
@pytest.mark.timeout(420)
async def test_kills_amid_flow_control_lose_nothing_and_count_nothing_twice(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    settings = settings_of(services, rabbitmq, postgres, tmp_path)
    end = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    begin = end - timedelta(hours=2)
    settings["rules"] = rules()
    settings["windows"] = {"now": {"times": [f"{begin:%H:%M}-{end:%H:%M}"], "tz": "UTC"}}
    settings["bridge"]["store"]["max_pending"] = 10_000
    settings["sources"]["orders"]["map"] = {"id": "{{ data.number }}"}
    queue = settings["sources"]["orders"]["rabbitmq"]["queue"]["name"]
    events = [
        {"number": number, "kind": KINDS[number % 4], "key": f"k{number // 4 % KEYS}"} for number in range(EVENTS)
    ]
    each = EVENTS // len(KINDS)
    chance = random.Random(16)
    async with Daemon(tmp_path, settings) as daemon:
        await daemon.start()
        await register(daemon, services)
        services.apns.faults.latency(0.02)
        share = EVENTS // (KILLS + 1)
        for part in range(KILLS + 1):
            bodies = [orjson.dumps(event) for event in events[part * share : (part + 1) * share]]
            await asyncio.to_thread(queues.publish, rabbitmq.url, queue, bodies)
            if part < KILLS:
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                await daemon.kill()
                await daemon.start()
        async with asyncio.timeout(PATIENCE):
            while counted(services) < 3 * each + KEYS:
                await asyncio.sleep(0.5)
        await asyncio.sleep(2)  # for what should not come
        assert await daemon.terminate() == 0
    kinds: defaultdict[str, list[list[str]]] = defaultdict(list)
    for kind, *words in pushed(services):
        kinds[kind].append(words)
    assert Counter(key for (key,) in kinds["once"]) == Counter(f"k{number}" for number in range(KEYS))
    spikes: Counter[str] = Counter()
    for key, count in kinds["spike"]:
        spikes[key] += int(count)
    assert spikes == Counter(event["key"] for event in events if event["kind"] == "spike")
    digests = [int(count) for _, count in kinds["spike"] if int(count) > 1]
    assert digests, "the windows were to have more than two events"
    seats: defaultdict[str, list[int]] = defaultdict(list)
    for key, number in kinds["seat"]:
        seats[key].append(int(number))
    assert sum(map(len, seats.values())) == each
    assert all(numbers == sorted(numbers) for numbers in seats.values()), "each key in its order"
    assert sorted(int(number) for (number,) in kinds["held"]) == [
        event["number"] for event in events if event["kind"] == "held"
    ]
    first_held = min(
        entry.at for entry in services.journal if json.loads(entry.payload)["aps"]["alert"].startswith("held")
    )
    assert first_held >= end - timedelta(seconds=1)
