"""A disk that is full to its last block: events are refused while it is, and nothing that was acknowledged is lost."""

import asyncio
from pathlib import Path

import httpx
import orjson
import pytest

from sandbox.services import PushServices
from tests.integration.nights.disks import fill, small_volume
from tests.integration.test_operator import configuration, part, post, register

pytestmark = [pytest.mark.processes, pytest.mark.slow]

DEADLINE = 90.0


async def test_a_volume_without_a_free_block_refuses_events_until_there_is_room_and_loses_none(
    services: PushServices, tmp_path: Path
) -> None:
    taken = []
    async with small_volume(configuration(services), tmp_path) as (daemon, volume):
        await register(daemon, services)
        file = fill(volume, left=0)
        answer = httpx.Response(0)
        async with asyncio.timeout(DEADLINE):
            for number in range(2000):  # the log beside the database has room that it took before
                answer = await post(daemon, f"event-{number}", text=f"{number}")
                if answer.status_code != httpx.codes.ACCEPTED:
                    break
                taken.append(f"{number}")
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5"), answer.text
        status, text = await part(daemon, "/store")
        assert (status, "full" in text) == (503, True), text

        file.unlink()
        async with asyncio.timeout(DEADLINE):
            while (await part(daemon, ""))[0] != 200:
                await asyncio.sleep(0.1)
            while (await post(daemon, "afterwards", text="afterwards")).status_code != httpx.codes.ACCEPTED:
                await asyncio.sleep(0.1)
            taken.append("afterwards")
            shown: set[str] = set()
            while not shown.issuperset(taken):
                await asyncio.sleep(0.1)
                shown = {orjson.loads(entry.payload)["aps"]["alert"] for entry in services.journal.accepted()}
        assert shown == set(taken)
