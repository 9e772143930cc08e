"""The memory of a daemon while what it sends to is away: once as much waits as may, it grows no more, however long."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import HUB, KEY, KEY_NAME, Daemon
from tests.integration.test_operator import configuration, register

pytestmark = pytest.mark.processes

MAX_PENDING = 2_000
WAVE = 2_500
"""Events of a wave, more than may wait."""
WAVES = 2
"""After the first, in which everything fills that fills."""
TEXT = "x" * 1_000
LIMITS = httpx.Limits(max_connections=16, keepalive_expiry=2)
"""A connection that idles is given up here before the daemon does: on a busy machine a request would meet its end."""
GROWTH = 0.1
"""Of the memory after the first wave; a row that is kept in memory for each event would be a third."""


def resident(daemon: Daemon) -> float:
    """MiB."""
    pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@asynccontextmanager
async def answering_nothing() -> AsyncIterator[int]:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def with_remote(config: dict[str, Any], port: int) -> dict[str, Any]:
    """The hub is another's."""
    there = f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName={KEY_NAME};SharedAccessKey={KEY}"
    config["hubs"] = {HUB: {"remote": {"connection_string": there, "hub": HUB}}}
    return config


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("is_remote", [False, True], ids=["the push service", "the remote hub"])
async def test_an_outage_takes_no_more_memory_once_as_much_waits_as_may(
    services: PushServices, tmp_path: Path, is_remote: bool, record_property: Any
) -> None:
    config = configuration(services)
    config["bridge"] = {"store": {"max_pending": MAX_PENDING}, "log": {"level": "warning"}}
    config["dead_letters"] = {"default": {"store": {"max_rows": 1_000}}}
    async with (
        answering_nothing() as port,
        Daemon(tmp_path, with_remote(config, port) if is_remote else config) as daemon,
        httpx.AsyncClient(timeout=60, limits=LIMITS) as client,
    ):
        await daemon.start()
        if not is_remote:
            await register(daemon, services)
        services.apns.faults.black_hole()
        answers = Counter[int]()
        room = asyncio.Semaphore(16)

        async def post(id: str) -> None:
            async with room:
                event = {"id": id, "team": "all", "text": TEXT}
                answers[(await client.post(f"{daemon.url}/in/orders", json=event)).status_code] += 1

        sizes = [resident(daemon)]
        for wave in range(1 + WAVES):
            await asyncio.gather(*(post(f"{wave}-{number}") for number in range(WAVE)))
            await asyncio.sleep(1)
            sizes.append(resident(daemon))
        record_property("resident MiB", sizes)
        print(
            f"resident MiB at the start and after each wave: {[round(size, 1) for size in sizes]}; answers {dict(answers)}"
        )
        _, first, *later = sizes
        assert max(later) <= first * (1 + GROWTH), sizes
        pending = (await client.get(f"{daemon.url}/api/v1/status")).json()["pending"]
        assert MAX_PENDING * 0.4 < pending <= MAX_PENDING * 1.1
        assert (await client.get(f"{daemon.url}/livez")).status_code == 200
