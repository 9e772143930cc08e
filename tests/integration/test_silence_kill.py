"""A daemon that is killed at each step of a silence: what it holds goes out once, and what it drops never does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import START_TIMEOUT, Daemon
from tests.integration.on_postgres import publish, register, settings_of

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]

TOKEN = "only-for-these-tests"
PART = 1200
"""Notifications that a silence holds: it releases 500 in a transaction."""
SHORT = 300


class Night:
    """A daemon with one rule, and somebody who silences it."""

    def __init__(
        self,
        daemon: Daemon,
        services: PushServices,
        rabbitmq: RabbitMq,
        settings: dict[str, Any],
        client: httpx.AsyncClient,
    ) -> None:
        self.daemon, self._services = daemon, services
        self._rabbitmq, self._settings, self._client = rabbitmq, settings, client
        self._published = 0

    async def events(self, count: int) -> None:
        await publish(self._rabbitmq, self._settings, first=self._published, count=count)
        self._published += count

    async def again(self) -> None:
        await self.daemon.kill()
        await self.daemon.start()

    async def silence(self, action: str, seconds: float) -> str:
        new = {"action": action, "seconds": seconds, "reason": "a test", "rule": "order"}
        answer = await self._client.post("/api/v1/silences", json=new)
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def remove(self, silence: str) -> None:
        (await self._client.post(f"/api/v1/silences/{silence}/remove")).raise_for_status()

    async def silences(self) -> dict[str, dict[str, Any]]:
        answer = await self._client.get("/api/v1/silences")
        return {each["id"]: each for each in answer.json()["items"]}

    async def until(self, silence: str, **values: Any) -> None:
        """Return when the silence says so."""
        said: dict[str, Any] = {}
        async with asyncio.timeout(START_TIMEOUT):
            while any(said.get(name) != value for name, value in values.items()):
                said = (await self.silences()).get(silence, {})
                await asyncio.sleep(0.1)

    @property
    def pushed(self) -> int:
        return len({entry.push_id for entry in self._services.journal})

    async def until_pushed(self, count: int) -> None:
        async with asyncio.timeout(2 * START_TIMEOUT):
            while self.pushed < count:
                await asyncio.sleep(0.1)


@pytest.fixture(params=["sqlite", "postgres"])
async def night(
    request: pytest.FixtureRequest,
    rabbitmq: RabbitMq,
    postgres: Postgres,
    services: PushServices,
    tmp_path: Path,
) -> AsyncIterator[Night]:
    settings = settings_of(services, rabbitmq, postgres, tmp_path)
    store = settings["bridge"]["store"]
    store["max_pending"] = 10_000
    if request.param == "sqlite":
        del store["url"], store["password_file"]
    settings["bridge"]["http"] = {"admin_token": TOKEN}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        Daemon(tmp_path, settings) as daemon,
        httpx.AsyncClient(verify=False, base_url=daemon.url, headers=headers, timeout=60) as client,
    ):
        await daemon.start()
        await register(daemon, services)
        yield Night(daemon, services, rabbitmq, settings, client)


async def test_a_kill_at_each_step_of_a_silence_loses_nothing_and_sends_nothing_twice(night: Night) -> None:
    held = await night.silence("hold", 3600)
    await night.again()  # it was added: whoever heard so may rely on it
    assert (await night.silences())[held]["active"]
    await night.events(PART)
    await asyncio.sleep(0.3)
    await night.again()  # while it holds what comes in
    await night.until(held, held=PART)
    await night.again()  # while all of it waits
    await night.until(held, held=PART, active=True)
    assert night.pushed == 0
    await night.remove(held)
    await night.again()  # while it is released
    await night.until_pushed(PART)
    await night.until(held, held=0, active=False)

    ending = await night.silence("hold", 6)
    await night.events(SHORT)
    await asyncio.sleep(1)
    await night.daemon.kill()
    await asyncio.sleep(6)  # it ends while nobody is there
    await night.daemon.start()
    await night.until_pushed(PART + SHORT)
    await night.until(ending, held=0, active=False)

    dropping = await night.silence("drop", 3600)
    await night.events(SHORT)
    await asyncio.sleep(0.2)
    await night.again()  # while it drops
    await night.until(dropping, dropped=SHORT)
    await night.remove(dropping)
    await night.again()
    assert not (await night.silences())[dropping]["active"]
    await night.events(1)
    await night.until_pushed(PART + SHORT + 1)
    await asyncio.sleep(1)  # for what should not come
    assert night.pushed == PART + SHORT + 1, "what was dropped does not come back"
