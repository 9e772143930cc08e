"""Nights of the process: one that ends at each start, and two that do not decide alike."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.services import PushServices
from tests.integration.daemon import Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_operator import configuration, post

STARTS = 5
"""More than the alert allows in ten minutes."""


@asynccontextmanager
async def looping(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """The first page of the store's file was overwritten, and each start of the process ends at it."""
    async with Daemon(directory, configuration(services)) as daemon:
        await daemon.start()
        await post(daemon, "before")
        assert await daemon.terminate() == 0, daemon.errors()
        with daemon.database_file.open("r+b") as file:
            file.write(b"\xff" * 4096)
        for _ in range(STARTS):
            await daemon.launch()
            assert await daemon.exit_code() != 0
        yield Night(daemon, services, directory)


@asynccontextmanager
async def two_minds(services: PushServices, directory: Path) -> AsyncIterator[Night]:
    """Two daemons of one job, of which one has read a rule that the other has not."""
    folders = [directory / "one", directory / "two"]
    for folder in folders:
        folder.mkdir()
    changed = configuration(services)
    changed["rules"][0]["match"] = {"data": {"team": {"exists": True}}}
    async with (
        Daemon(folders[0], configuration(services)) as first,
        Daemon(folders[1], changed) as second,
    ):
        await first.start()
        await second.start()
        yield Night(first, services, directory, second)


SCENES: Mapping[str, Scene] = {"looping": looping, "two minds": two_minds}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeCrashLooping": Fault(scene="looping", prints=r"failed +pages +this is no SQLite database"),
    "PushbridgeConfigurationsDiffer": Fault(
        scene="two minds", prints=r"configuration +\S+ (\w+), since[\s\S]*configuration +\S+ (?!\1)\w+, since"
    ),
}
