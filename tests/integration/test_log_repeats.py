"""A release that sends what cannot be read, and a service that refuses all: the log says so in a few lines, with counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.observe.repeats import MOST
from sandbox.services import PushServices
from tests.integration.daemon import START_TIMEOUT, Daemon, hubs, register_phone

pytestmark = pytest.mark.processes

MANY = 1000
TELLS = "more such lines left out"


@pytest.fixture
async def daemon(services: PushServices, tmp_path: Path) -> AsyncIterator[Daemon]:
    config = {
        "sources": {"shop": {"http": {"path": "/in/shop"}, "map": {"id": "{{ data.id }}"}}},
        "rules": [{"name": "all", "push": {"to": "team:all", "with": {"text": "{{ data.id }}"}}}],
        "hubs": hubs(services),
    }
    async with Daemon(tmp_path, config) as daemon:
        await daemon.start()
        await register_phone(daemon, services)
        yield daemon


async def post(daemon: Daemon, bodies: Sequence[bytes]) -> Counter[int]:
    """How often each status was the answer."""
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=daemon.url, timeout=START_TIMEOUT, limits=limits) as client:
        answers = await asyncio.gather(*(client.post("/in/shop", content=body) for body in bodies))
    return Counter(answer.status_code for answer in answers)


async def until(daemon: Daemon, sample: str, value: float) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        while (await daemon.metrics()).get(sample, 0) < value:
            await asyncio.sleep(0.1)


def lines_of(daemon: Daemon, event: str) -> tuple[int, int]:
    """How many lines there are, and how many more they say that there were."""
    lines: list[dict[str, Any]] = daemon.log()
    written = [line for line in lines if line["event"] == event and line["level"] == "warning"]
    left_out = [line["times"] for line in lines if line["event"] == TELLS and line["line"] == event]
    return len(written), sum(left_out)


async def test_a_thousand_equal_bad_messages_and_refusals_are_a_few_lines_that_say_how_many(
    daemon: Daemon, services: PushServices
) -> None:
    assert (await post(daemon, [b"{no json"] * MANY)).keys() <= {202, 400}
    services.apns.faults.answer(413, "PayloadTooLarge")
    assert await post(daemon, [b'{"id": "%d"}' % number for number in range(MANY)]) == {202: MANY}
    refused = 'pushbridge_pns_deliveries_total{hub="app",outcome="payload_too_large",platform="apns"}'
    await until(daemon, refused, MANY)
    assert await daemon.terminate() == 0
    log = daemon.log()
    for event in ("event refused", "pushed"):
        written, left_out = lines_of(daemon, event)
        assert written + left_out == MANY, event
        assert MOST <= written <= MANY / 4, event
    said = [line for line in log if line["event"] == TELLS]
    assert {line.get("reason") for line in said} >= {"decode", "PayloadTooLarge"}
