"""Nights of daemons over one database: one is killed, and then the database itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.services import PushServices
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.integration.daemon import Daemon
from tests.integration.nights import Fault, Night, Scene
from tests.integration.test_operator import configuration


@asynccontextmanager
async def two_over_one(services: PushServices, directory: Path, postgres: Postgres) -> AsyncIterator[Night]:
    folders = [directory / "one", directory / "two"]
    for folder in folders:
        folder.mkdir()
    (directory / "password").write_text(f"{PASSWORD}\n")
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{postgres.create()}"
    config = configuration(services)
    config["bridge"] = {"store": {"url": url, "password_file": str(directory / "password")}}
    async with Daemon(folders[0], config) as first, Daemon(folders[1], config) as second:
        await first.start()
        await second.start()
        try:
            yield FleetNight(first, services, directory, second, postgres=postgres)
        finally:
            await asyncio.to_thread(postgres.start)


class FleetNight(Night):
    """Its first daemon is asked, and the database can be ended."""

    def __init__(
        self, daemon: Daemon, services: PushServices, directory: Path, other: Daemon, *, postgres: Postgres
    ) -> None:
        super().__init__(daemon, services, directory)
        self.other, self.postgres = other, postgres


async def one_killed(night: Night) -> None:
    assert isinstance(night, FleetNight)
    await night.other.kill()


async def database_gone(night: Night) -> None:
    assert isinstance(night, FleetNight)
    await asyncio.to_thread(night.postgres.kill)


SCENES: Mapping[str, Scene] = {"two over one": two_over_one}

FAULTS: Mapping[str, Fault] = {
    "PushbridgeQueueTakeovers": Fault(scene="two over one", prints=r" +0 +0 +\d+ s +dead", make=one_killed),
    "PushbridgeRenewalsFail": Fault(
        scene="two over one", prints=r"store +failing .*the database cannot be reached", make=database_gone
    ),
}
