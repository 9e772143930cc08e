"""The rate of a source, with the daemon and a real broker: what is over it waits, and a reload changes it live."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import HUB, Daemon, hubs, register_phone

RULE = {"name": "posted", "match": {"type": "posting"}, "push": {"to": "all", "with": {"body": "x"}}}
PATIENCE = 60.0
LATE = 4
"""Pushes that a busy machine may deliver a moment later than they passed the rate."""
PUSHED = f'pushbridge_pns_deliveries_total{{hub="{HUB}",outcome="success",platform="apns"}}'
TAKEN = 'pushbridge_ingest_messages_total{outcome="accepted",source="postings"}'


async def taken(daemon: Daemon) -> float:
    return (await daemon.metrics())[TAKEN]


@pytest.mark.processes
async def test_what_is_over_the_rate_waits_in_the_queue_until_a_reload_lets_it_pass(
    rabbitmq: RabbitMq, tmp_path: Path
) -> None:
    queue = f"rate-{uuid4().hex[:8]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    queues.publish(rabbitmq.url, queue, (b'{"number": %d}' % number for number in range(2000)))
    source = {
        "rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}, "receive": {"max_in_flight": 50}},
        "map": {"id": "{{ data.number }}", "type": "posting"},
        "rate": {"per_second": 10, "burst": 40},
    }
    config = {"hubs": {HUB: {}}, "rules": [RULE], "sources": {"postings": source}}
    async with Daemon(tmp_path, config) as daemon, httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        started = time.monotonic()
        await daemon.start()
        async with asyncio.timeout(PATIENCE):
            while await taken(daemon) < 60:
                await asyncio.sleep(0.1)
        count = await taken(daemon)
        assert count <= 40 + 10 * (time.monotonic() - started) + 1
        status = (await client.get(f"{daemon.url}/api/v1/status")).json()
        (part,) = [part for part in status["parts"] if part["kind"] == "source"]
        assert (part["state"], part["ok"]) == ("limited", True)
        assert "10 a second" in part["detail"]
        first, late = [(await client.get(f"{daemon.url}/api/v1/events/{number}/trace")).json() for number in (0, 59)]
        assert first["held_back"] == 0
        assert 1 <= late["held_back"] <= time.monotonic() - started
        metrics = await daemon.metrics()
        assert metrics['pushbridge_source_rate_limited_seconds_total{source="postings"}'] > 1
        assert metrics['pushbridge_source_up{source="postings"}'] == 1
        changed = json.loads(daemon.config_file.read_text())
        del changed["sources"]["postings"]["rate"]
        daemon.config_file.write_text(json.dumps(changed))
        (await client.post(f"{daemon.url}/-/reload")).raise_for_status()
        async with asyncio.timeout(PATIENCE):
            while await taken(daemon) < 2000:
                await asyncio.sleep(0.1)
        metrics = await daemon.metrics()
        assert metrics['pushbridge_source_rebuilds_total{source="postings"}'] == 0
        assert metrics['pushbridge_ingest_messages_total{outcome="duplicate",source="postings"}'] == 0


@pytest.mark.processes
async def test_two_daemons_on_one_database_keep_to_a_rate_together(
    rabbitmq: RabbitMq, postgres: Postgres, tmp_path: Path
) -> None:
    queue, name = f"rate-{uuid4().hex[:8]}", postgres.create()
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    queues.publish(rabbitmq.url, queue, (b'{"number": %d}' % number for number in range(2000)))
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{name}"
    source = {
        "rabbitmq": {"url": rabbitmq.url, "queue": {"name": queue}, "receive": {"max_in_flight": 50}},
        "map": {"id": "{{ data.number }}", "type": "posting"},
        "rate": {"per_second": 10, "burst": 10},
    }
    config = {
        "bridge": {"store": {"url": url, "password_file": str(tmp_path / "password")}},
        "hubs": {HUB: {}},
        "rules": [RULE],
        "sources": {"postings": source},
    }
    owners = "SELECT count(*) FROM queue GROUP BY owner"
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    async with Daemon(folders[0], config) as first, Daemon(folders[1], config) as second:
        await first.start()
        await second.start()
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(postgres.run, owners, database=name) != [(32,), (32,)]:
                await asyncio.sleep(0.1)
            began, before = time.monotonic(), await taken(first) + await taken(second)
            while (now := await taken(first) + await taken(second)) < before + 60:
                await asyncio.sleep(0.1)
        assert now - before <= 10 * (time.monotonic() - began) + 12, "each would take as much, without the other"
    postgres.drop(name)


@pytest.mark.processes
async def test_a_sender_over_the_rate_comes_again_and_loses_nothing(tmp_path: Path) -> None:
    source = {
        "http": {"path": "/in"},
        "map": {"id": "{{ data.number }}", "type": "posting"},
        "rate": {"per_second": 20, "burst": 5},
    }
    config = {"hubs": {HUB: {}}, "rules": [RULE], "sources": {"postings": source}}
    refused = 0
    async with Daemon(tmp_path, config) as daemon, httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        await daemon.start()
        for number in range(30):
            while (answer := await client.post(f"{daemon.url}/in", json={"number": number})).status_code == 429:
                refused += 1
                assert int(answer.headers["retry-after"]) == 1
                await asyncio.sleep(0.02)
            assert answer.status_code == 202
        assert refused
        metrics = await daemon.metrics()
        assert metrics[TAKEN] == 30
        assert metrics['pushbridge_source_rate_limited_requests_total{source="postings"}'] == refused


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_two_daemons_on_one_database_push_at_the_rates_of_a_rule_and_of_a_hub_together(
    postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    name = postgres.create()
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    of_rule, of_hub, count, burst = 10, 30, 160, 20
    rules: list[dict[str, Any]] = [
        {"name": word, "match": {"data": {"word": word}}, "push": {"to": "team:all", "with": {"text": word}}}
        for word in ("slow", "other")
    ]
    rules[0]["rate"] = {"per_second": of_rule, "burst": burst}
    whole = hubs(services)
    whole[HUB]["rate"] = {"per_second": of_hub, "burst": burst}
    config = {
        "bridge": {
            "store": {
                "url": f"postgresql://{USER}@127.0.0.1:{postgres.port}/{name}",
                "password_file": str(tmp_path / "password"),
            }
        },
        "hubs": whole,
        "rules": rules,
        "sources": {"posted": {"http": {"path": "/in"}, "map": {"id": "{{ data.id }}"}}},
    }
    owners = "SELECT count(*) FROM queue GROUP BY owner"
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    async with (
        Daemon(folders[0], config) as first,
        Daemon(folders[1], config) as second,
        httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
    ):
        await first.start()
        await second.start()
        await register_phone(first, services)
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(postgres.run, owners, database=name) != [(32,), (32,)]:
                await asyncio.sleep(0.1)
        await asyncio.sleep(2 * burst / of_rule)  # what the first had while it was alone is full again, and divided
        for daemon in (first, second):
            for word in ("slow", "other"):
                for number in range(count // 2):
                    body = {"id": f"{word}-{number}-{daemon.url}", "word": word}
                    (await client.post(f"{daemon.url}/in", json=body)).raise_for_status()
        async with asyncio.timeout(2 * PATIENCE):
            while len({entry.push_id for entry in services.journal}) < 2 * count:
                await asyncio.sleep(0.2)
        parts = [(await daemon.metrics())[PUSHED] for daemon in (first, second)]
    pushes = sorted({entry.push_id: entry for entry in reversed(list(services.journal))}.values(), key=lambda e: e.at)
    slow = [entry.at.timestamp() for entry in pushes if b"slow" in entry.payload]
    both = [entry.at.timestamp() for entry in pushes]
    assert len(slow) == count
    for times, rate in ((slow, of_rule), (both, of_hub)):
        for seconds in (2.0, 5.0, 10.0):  # no window of time has more than the rate allows
            most = max(sum(begin <= time < begin + seconds for time in times) for begin in times)
            assert most <= rate * seconds + burst + LATE, f"{most} pushes in {seconds} s"
        used = times[
            burst : len(times) * 2 // 3
        ]  # after what was saved up, and before one of the two has pushed its part
        assert len(used) / (used[-1] - used[0]) >= 0.7 * rate, "together they use the rate"
    assert min(parts) >= 0.25 * sum(parts), "both daemons push"
    postgres.drop(name)
