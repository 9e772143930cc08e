"""Quiet hours and schedules burn no objective: the time that a push took counts from when it was due, in played time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.services import PushServices
from tests.integration.daemon import Daemon, hubs, register_phone
from tests.integration.settable_clock import HostTime

pytestmark = pytest.mark.processes

PATIENCE = 40.0
NIGHT = timedelta(hours=8)
AGE = timedelta(hours=1)
"""How old each event is when it comes."""
TOOK = "pushbridge_end_to_end_seconds"
AGED = "pushbridge_event_age_seconds"


def configuration(services: PushServices, begin: datetime) -> dict[str, Any]:
    """A window that begins before now and ends in eight hours, by the clock of UTC."""
    push = {"to": "team:all", "with": {"text": "{{ data.id }}"}}
    held = {"window": "night", "on_quiet": "hold", "expire": "12h"}
    return {
        "windows": {"night": {"times": [f"{begin - timedelta(hours=1):%H:%M}-{begin + NIGHT:%H:%M}"], "tz": "UTC"}},
        "sources": {
            "orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}", "time": "{{ data.at }}"}}
        },
        "rules": [
            {"name": "held", "match": {"data": {"kind": ["held"]}}, "quiet_hours": held, "push": push},
            {
                "name": "planned",
                "match": {"data": {"kind": ["planned"]}},
                "schedule": {"at": "{{ data.due }}"},
                "push": push,
            },
            {"name": "now", "match": {"data": {"kind": ["now"]}}, "push": push},
        ],
        "hubs": hubs(services),
    }


async def samples(daemon: Daemon, name: str, label: str) -> tuple[float, float]:
    """How many there were, and their sum in seconds."""
    found = await daemon.metrics()
    return found[f"{name}_count{{{label}}}"], found[f"{name}_sum{{{label}}}"]


async def until_told(daemon: Daemon, count: int) -> None:
    """Return when so many pushes are in the metrics of the process."""
    async with asyncio.timeout(PATIENCE):
        while (await samples(daemon, TOOK, 'platform="apns"'))[0] < count:
            await asyncio.sleep(0.1)


async def pass_to(daemon: Daemon, time_of_day: HostTime, ahead: timedelta) -> None:
    """Let so much time pass since the beginning, in which the daemon is started again."""
    await daemon.kill()
    time_of_day.set(ahead)
    await daemon.start()


async def until_pushed(services: PushServices, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(services.journal.accepted()) < count:
            await asyncio.sleep(0.05)


async def test_a_night_and_a_schedule_count_as_no_time_and_the_age_of_events_stands_beside_it(
    tmp_path: Path,
) -> None:
    begin, time_of_day = datetime.now(UTC), HostTime(tmp_path)
    (tmp_path / "sandbox").mkdir()
    async with (
        PushServices(tmp_path / "sandbox", clock=time_of_day) as services,
        Daemon(tmp_path, configuration(services, begin), module="tests.integration.settable_clock") as daemon,
    ):
        await daemon.start()
        await register_phone(daemon, services)
        due, at = (begin + NIGHT / 2).isoformat(), (begin - AGE).isoformat()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            for kind in ("held", "planned", "now"):
                event = {"id": kind, "kind": kind, "due": due, "at": at}
                answer = await client.post(f"{daemon.url}/in/orders", json=event)
                assert answer.json()["outcome"] == "accepted", answer.text
        await until_told(daemon, 1)
        took = await samples(daemon, TOOK, 'platform="apns"')
        aged = await samples(daemon, AGED, 'source="orders"')
        await pass_to(daemon, time_of_day, NIGHT / 2 + timedelta(seconds=5))
        played = time.monotonic()
        await until_pushed(services, 2)
        await until_told(daemon, 1)
        planned = await samples(daemon, TOOK, 'platform="apns"')
        await pass_to(daemon, time_of_day, NIGHT + timedelta(seconds=60))
        await until_pushed(services, 3)
        await until_told(daemon, 1)
        held = await samples(daemon, TOOK, 'platform="apns"')
        assert [count for count, _ in (took, planned, held)] == [1, 1, 1]
        seconds = sum(seconds for _, seconds in (took, planned, held))
        assert seconds < 180 + time.monotonic() - played, "a night is 28,800 s"
        assert aged[0] == 3
        assert aged[1] == pytest.approx(3 * AGE.total_seconds(), abs=3 * PATIENCE)
