"""A sidecar between an app and a central pushbridge: what the app is told while the central is away or slow, and what an
operator at the central is told of the events of the sidecar."""

import asyncio
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from sandbox.services import PushServices
from tests.integration.central import Central
from tests.integration.daemon import Daemon, hubs, register_phone

pytestmark = pytest.mark.processes

PATIENCE = 90.0
AT_ONCE = 8
"""Requests that the sidecar has in flight at most."""


@dataclass(slots=True)
class Pair:
    sidecar: Daemon
    central: Daemon
    services: PushServices
    app: httpx.AsyncClient

    async def post(self, id_: str, **headers: str) -> httpx.Response:
        return await self.app.post(f"{self.sidecar.url}/in/orders", json={"id": id_}, headers=headers)

    async def post_until_taken(self, id_: str, seen: Counter[int]) -> None:
        """As an app does that keeps an event until it is told 202: `seen` counts the answers."""
        while True:
            answer = await self.post(id_)
            seen[answer.status_code] += 1
            if answer.status_code == httpx.codes.ACCEPTED:
                return
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            await asyncio.sleep(0.2)  # an app waits for as long as it is told; a test has no time

    async def until_pushed(self, count: int) -> Counter[str]:
        """How often each text was pushed, once there are so many."""
        async with asyncio.timeout(PATIENCE):
            while len(pushed := self.pushed()) < count:
                await asyncio.sleep(0.05)
        return pushed

    def pushed(self) -> Counter[str]:
        found = [orjson.loads(entry.payload)["aps"]["alert"] for entry in self.services.journal if entry.accepted]
        return Counter(found)


def configuration(central: Central) -> dict[str, Any]:
    rule = {"push": {"to": "team:all", "with": {"text": "{{ data.id }}"}}}
    both = {**rule, "match": {"data": {"id": {"prefix": "both"}}}}
    return {
        "bridge": {"name": "shop-sidecar", "revision": "release-7"},
        "sources": {
            "orders": {
                "http": {"path": "/in/orders", "answer_timeout": "2s", "receive": {"max_in_flight": AT_ONCE}},
                "map": {"id": "{{ data.id }}", "type": "order"},
            }
        },
        "rules": [{"name": "order", **rule}, {"name": "order-too", **both}],
        "hubs": {"mobile": {"remote": central.remote(durability="remote")}},
        "delivery": {"retry": {"backoff": {"base": "1s", "cap": "1s"}}},
    }


@pytest.fixture
async def pair(services: PushServices, tmp_path: Path) -> AsyncIterator[Pair]:
    (tmp_path / "sidecar").mkdir()
    central = Central(tmp_path / "central", hubs(services), ca_file=services.ca_file)
    async with (
        central,
        Daemon(tmp_path / "sidecar", configuration(central)) as sidecar,
        httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_connections=40)) as app,
    ):
        await asyncio.gather(central.daemon.start(), sidecar.start())
        await register_phone(central.daemon, services)
        yield Pair(sidecar, central.daemon, services, app)


async def asked(daemon: Daemon, *words: str) -> str:
    """What a command says to an operator at the daemon's machine."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *words, "--config", str(daemon.config_file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_why_at_the_central_answers_for_an_event_of_the_sidecar(pair: Pair) -> None:
    trace = secrets.token_hex(16)
    taken = await pair.post("both-1", traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")
    assert taken.status_code == httpx.codes.ACCEPTED
    async with asyncio.timeout(PATIENCE):
        while pair.pushed().total() < 2:
            await asyncio.sleep(0.05)
    config_hash = next(line["config_hash"] for line in pair.sidecar.log() if line["event"] == "started")
    said = await asked(pair.central, "why", "both-1", "phone")
    event = said.partition("\n\n")[0]
    fields = {name: value.strip() for name, value in (line.split(None, 1) for line in event.splitlines())}
    assert fields["event"] == "both-1"
    assert fields["source"] == "shop-sidecar/orders"
    assert fields["configuration"] == f"release-7 {config_hash}"
    assert trace in fields["trace"]
    assert "the rules are those of shop-sidecar" in said
    assert said.count("order-too") >= 2, said  # as a rule that fired, and of its notification
    assert said.count("\nnotification") == 2, said
    assert said.count("its push service took the push") == 2, said
    assert "shop-sidecar/orders" in await asked(pair.central, "events", "list", "--kept")


async def test_an_app_is_told_to_wait_while_the_central_is_away_and_nothing_is_lost(pair: Pair) -> None:
    await pair.central.kill()
    answer = await pair.post("first")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    seen: Counter[int] = Counter()
    ids = [f"away-{number}" for number in range(20)]
    async with asyncio.TaskGroup() as group:
        for id_ in ids:
            group.create_task(pair.post_until_taken(id_, seen))
        while seen[503] < len(ids):
            await asyncio.sleep(0.05)
        assert seen[202] == 0
        await pair.central.start()
    assert await pair.until_pushed(len(ids)) == dict.fromkeys(ids, 1)


async def test_an_app_is_told_to_wait_while_the_central_is_slow_and_nothing_is_pushed_twice(pair: Pair) -> None:
    pair.central.pause()
    seen: Counter[int] = Counter()
    ids = [f"slow-{number}" for number in range(3 * AT_ONCE)]
    async with asyncio.TaskGroup() as group:
        for id_ in ids:
            group.create_task(pair.post_until_taken(id_, seen))
        while seen[503] < 2 * len(ids):
            await asyncio.sleep(0.05)
        assert seen[202] == 0
        pair.central.resume()
    assert await pair.until_pushed(len(ids)) == dict.fromkeys(ids, 1)
