"""A daemon names what holds its event loop: a decoder with a defect (`tests/pairs`), and a process that is stopped."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.daemon import Daemon
from tests.integration.test_made_up_decoder import CONFIG

pytestmark = pytest.mark.processes

HELD = "the event loop was held"
SECONDS = 'pushbridge_event_loop_held_seconds_total{cause="%s"}'


async def told(daemon: Daemon, cause: str) -> dict[str, Any]:
    """The line of a hold of that cause: on a busy machine there are others."""
    async with asyncio.timeout(30):
        while True:
            for line in daemon.log():
                if line["event"] == HELD and line["cause"] == cause:
                    return line
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name, cause", [("wait", "waited"), ("compute", "computed")])
async def test_a_long_step_is_in_log_and_metrics_with_its_place(name: str, cause: str, tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIG, module="tests.pairs") as daemon:
        await daemon.start()
        async with httpx.AsyncClient(verify=False, base_url=daemon.url, trust_env=False, timeout=60) as client:
            assert (await client.post("/in/shop", content=f"id=1\n{name}=1.0\nkind=paid")).status_code == 202
        line = await told(daemon, cause)
        assert line["seconds"] >= 0.8
        assert any(call.startswith("tests.pairs.reader:") for call in line["calls"]), line
        scrape = await daemon.metrics()
        assert scrape[SECONDS % cause] >= 0.8
        assert (
            scrape["pushbridge_event_loop_lag_seconds_count"]
            - scrape['pushbridge_event_loop_lag_seconds_bucket{le="0.2"}']
            >= 1
        )


async def test_a_process_that_was_stopped_is_told_from_one_that_works_too_long(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIG, module="tests.pairs") as daemon:
        await daemon.start()
        daemon.pause()
        await asyncio.sleep(1.0)
        daemon.resume()
        line = await told(daemon, "stopped")
        assert line["seconds"] >= 0.8
        assert line["cpu_seconds"] < 0.3


async def test_the_bound_is_of_the_configuration_and_a_reload_changes_it(tmp_path: Path) -> None:
    config = CONFIG | {"bridge": {"watchdog": {"loop_held_after": "5s"}}}
    async with Daemon(tmp_path, config, module="tests.pairs") as daemon:
        await daemon.start()
        async with httpx.AsyncClient(verify=False, base_url=daemon.url, trust_env=False, timeout=60) as client:
            await client.post("/in/shop", content="id=1\nwait=1.0\nkind=paid")
            assert [line for line in daemon.log() if line["event"] == HELD] == []
            daemon.config_file.write_text(daemon.config_file.read_text().replace('"5s"', '"100ms"'))
            assert (await client.post("/-/reload")).status_code == 200
            await client.post("/in/shop", content="id=2\nwait=1.0\nkind=paid")
        assert (await told(daemon, "waited"))["seconds"] >= 0.8
