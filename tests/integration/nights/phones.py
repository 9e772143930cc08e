"""Nights of what phones say: reports on pushes that are not known, and looks at phones that come to nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from sandbox.services import PushServices
from tests.integration.daemon import HUB, Daemon, authorization
from tests.integration.hook import Hook
from tests.integration.nights import DEADLINE, Fault, Night, Scene
from tests.integration.test_unopened import debit, recipe, register


@asynccontextmanager
async def unheard(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """The recipe of a debit that is told by SMS where no phone opens it."""
    async with (
        Hook(directory / "hook") as hook,
        Daemon(directory, recipe(services, hook, after="8s")) as daemon,
    ):
        await daemon.start()
        await register(daemon, services, "ann", "ann")
        yield Night(daemon, services, directory)


async def wrong_ids(night: Night) -> None:
    """The app takes another id than the one under `payload_key`."""
    url = f"{night.daemon.hub_url}/{HUB}/reports"
    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        for _ in range(2):
            reports = [{"push": uuid4().hex, "event": "opened"} for _ in range(60)]
            answer = await client.post(
                url,
                json={"installationId": "ann", "reports": reports},
                headers={"Authorization": authorization(url)},
            )
            assert answer.status_code == httpx.codes.OK, answer.text


async def no_sink_any_more(night: Night) -> None:
    """The last sink is taken out of the configuration while a look is due."""
    await debit(night.daemon, "p-1", "ann")
    with night.daemon.database() as database:  # what is pushed after the reload is not followed
        async with asyncio.timeout(DEADLINE):
            while database.execute("SELECT count(*) FROM follow_up").fetchone() == (0,):
                await asyncio.sleep(0.02)
    config = json.loads(night.daemon.config_file.read_text())
    del config["sinks"], config["rules"][0]["unless_opened"]
    night.daemon.config_file.write_text(json.dumps(config))
    async with httpx.AsyncClient(verify=False, timeout=60) as client:
        (await client.post(f"{night.daemon.url}/-/reload")).raise_for_status()


SCENES: Mapping[str, Scene] = {"unheard": unheard}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeReportsRefused": Fault(scene="unheard", prints=r'outcome="unknown"\S* 1\d\d', make=wrong_ids),
    "PushbridgeFollowUpsLate": Fault(
        scene="unheard", prints=r"follow-ups +late .*no sink is configured", make=no_sink_any_more
    ),
}
