"""An event names the time of its push: the push waits for it in the store, also over a kill, and can be cancelled."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, hubs
from tests.ports import free_ports

PATIENCE = 60.0
TOKEN = "only-for-these-tests"
AHEAD = timedelta(seconds=6)


def configuration(services: PushServices, port: int) -> dict[str, Any]:
    push = {"to": "user:ann", "with": {"title": "{{ data.id }}"}, "ttl": "1h"}
    return {
        "sources": {"desk": {"http": {"path": "/in/desk"}, "map": {"id": "{{ data.id }}"}}},
        "rules": [{"name": "remind", "schedule": {"at": "{{ data.at | default('') }}"}, "push": push}],
        "hubs": {HUB: hubs(services)[HUB]},
        "bridge": {"http": {"listen": f"127.0.0.1:{port}", "admin_token": TOKEN}},
    }


async def states(client: httpx.AsyncClient, daemon: Daemon) -> dict[str, tuple[str, str]]:
    """By the event: the id and the state of its notification."""
    answer = await client.get(f"{daemon.url}/api/v1/notifications")
    listed = answer.raise_for_status().json()["items"]
    return {each["event_id"]: (each["id"], each["state"]) for each in listed}


async def test_a_push_waits_for_the_time_that_its_event_names(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with (
        PushServices(tmp_path) as services,
        Daemon(tmp_path, configuration(services, port)) as daemon,
        httpx.AsyncClient(timeout=PATIENCE, headers={"Authorization": f"Bearer {TOKEN}"}) as client,
    ):
        daemon.url = f"http://127.0.0.1:{port}"
        await daemon.start()
        phone = services.add_phone("p1", "fcmv1")
        await daemon.register(
            {
                "installationId": "p1",
                "platform": "fcmv1",
                "pushChannel": phone.handle,
                "tags": ["user:ann"],
                "templates": {"t": {"body": '{"message": {"notification": {"title": "$(title)"}}}'}},
            }
        )
        at = datetime.now(UTC) + AHEAD
        for event in (
            {"id": "later", "at": at.isoformat()},
            {"id": "never", "at": at.isoformat()},
            {"id": "now"},
        ):
            (await client.post(f"{daemon.url}/in/desk", json=event)).raise_for_status()
        async with asyncio.timeout(PATIENCE):  # a kill before the push of `now` is recorded would repeat it
            while (found := await states(client, daemon))["now"][1] != "Completed":
                await asyncio.sleep(0.05)
        assert (found["later"][1], found["never"][1]) == ("Scheduled", "Scheduled")
        cancelled = await client.post(f"{daemon.url}/api/v1/notifications/{found['never'][0]}/cancel")
        assert cancelled.status_code < 300, cancelled.text
        await daemon.kill()
        await daemon.start()
        async with asyncio.timeout(PATIENCE):
            while [shown.title for shown in phone.received] != ["now", "later"]:
                assert not (time.time() < at.timestamp() and "later" in [shown.title for shown in phone.received])
                await asyncio.sleep(0.05)
        assert time.time() >= at.timestamp()
        async with asyncio.timeout(PATIENCE):
            while (found := await states(client, daemon))["later"][1] != "Completed":
                await asyncio.sleep(0.05)
        assert (found["never"][1], found["now"][1]) == ("Cancelled", "Completed")
