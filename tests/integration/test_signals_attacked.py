"""Signals in each other's way: a storm of SIGHUP, a shutdown within a reload, a reload within a shutdown."""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import START_TIMEOUT, Daemon
from tests.integration.test_operator import configuration, register
from tests.integration.test_shutdown import EXIT_BY

pytestmark = pytest.mark.processes

EVENTS = 120
STORM = 400
ROUNDS = 8


@asynccontextmanager
async def daemon_with(services: PushServices, directory: Path, **bridge: Any) -> AsyncIterator[Daemon]:
    config = configuration(services) | {"bridge": bridge}
    async with Daemon(directory, config, preloaded=True) as daemon:
        await daemon.start()
        await register(daemon, services)
        yield daemon


def change(daemon: Daemon, number: int) -> None:
    """Another text of the rule, so that a reload has something to do."""
    config = json.loads(daemon.config_file.read_text())
    config["rules"][0]["push"]["with"]["text"] = f"{number}: {{{{ data.text }}}}"
    written = daemon.config_file.with_suffix(".new")
    written.write_text(json.dumps(config))
    written.replace(daemon.config_file)


async def post(client: httpx.AsyncClient, daemon: Daemon, id: str) -> int:
    answer = await client.post(f"{daemon.url}/in/orders", json={"id": id, "team": "all", "text": "x"})
    return answer.status_code


def no_defect(daemon: Daemon) -> None:
    assert [line for line in daemon.log() if line["event"] == "defect" or line["level"] == "critical"] == []
    assert "Traceback" not in daemon.errors()


def pushed(services: PushServices) -> Counter[str]:
    return Counter(entry.push_id for entry in services.journal if entry.accepted)


async def until_pushed(services: PushServices, count: int) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        while len(pushed(services)) < count:
            await asyncio.sleep(0.05)


async def test_a_storm_of_hangups_loses_and_repeats_nothing_and_leaves_nothing_behind(
    services: PushServices, tmp_path: Path
) -> None:
    async with daemon_with(services, tmp_path) as daemon, httpx.AsyncClient(timeout=60) as client:
        assert await post(client, daemon, "first") == 202
        files = len(os.listdir(f"/proc/{daemon.pid}/fd"))

        async def storm() -> None:
            for number in range(STORM):
                if number % 20 == 0:
                    change(daemon, number)
                os.kill(daemon.pid, signal.SIGHUP)
                await asyncio.sleep(0.005)

        storming = asyncio.create_task(storm())
        for number in range(EVENTS):
            assert await post(client, daemon, f"order-{number}") == 202
        await storming
        change(daemon, 4711)
        os.kill(daemon.pid, signal.SIGHUP)
        async with asyncio.timeout(START_TIMEOUT):
            number = EVENTS
            while not any(b"4711: x" in entry.payload for entry in services.journal):
                assert await post(client, daemon, f"order-{number}") == 202
                number += 1
                await asyncio.sleep(0.2)
        await until_pushed(services, number + 1)
        assert pushed(services).total() == number + 1
        applied = [line for line in daemon.log() if line["event"] == "configuration applied"]
        assert 0 < len(applied) <= STORM, "what comes while one is read is one reload together"
        assert len(os.listdir(f"/proc/{daemon.pid}/fd")) <= files + 5
        no_defect(daemon)
        assert await daemon.terminate() == 0, daemon.errors()


@pytest.mark.slow
async def test_a_shutdown_within_a_reload_ends_in_good_order_and_loses_nothing(
    services: PushServices, tmp_path: Path
) -> None:
    chance = random.Random(13)
    async with daemon_with(services, tmp_path) as daemon, httpx.AsyncClient(timeout=60) as client:
        for number in range(ROUNDS):
            assert await post(client, daemon, f"order-{number}") == 202
            change(daemon, number)
            reloading = asyncio.create_task(client.post(f"{daemon.url}/-/reload"))
            os.kill(daemon.pid, signal.SIGHUP)
            await asyncio.sleep(chance.uniform(0, 0.08))
            began = time.monotonic()
            assert await daemon.terminate() == 0, daemon.errors()
            assert time.monotonic() - began < EXIT_BY
            with suppress(httpx.TransportError):
                assert (await reloading).status_code in (200, 400, 503)
            await daemon.start()
        await until_pushed(services, ROUNDS)
        assert len(pushed(services)) == ROUNDS
        no_defect(daemon)


async def test_a_reload_within_a_shutdown_is_no_reason_to_stay(services: PushServices, tmp_path: Path) -> None:
    async with (
        daemon_with(services, tmp_path, shutdown={"delay": "1s"}) as daemon,
        httpx.AsyncClient(timeout=60) as client,
    ):
        began = time.monotonic()
        os.kill(daemon.pid, signal.SIGTERM)
        number = 0
        taken = 0
        with suppress(httpx.TransportError):
            while time.monotonic() - began < EXIT_BY:
                change(daemon, number := number + 1)
                os.kill(daemon.pid, signal.SIGHUP)
                assert (await client.post(f"{daemon.url}/-/reload")).status_code in (200, 400, 503)
                taken += await post(client, daemon, f"order-{number}") == 202
        assert await daemon.exit_code() == 0, daemon.errors()
        assert number > 1
        assert time.monotonic() - began < EXIT_BY
        no_defect(daemon)
        await daemon.start()
        await until_pushed(services, taken)
