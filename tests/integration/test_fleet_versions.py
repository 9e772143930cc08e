"""A rolling upgrade: daemons of the version before and of this one share a database under load."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.migrate import migrate_now
from hub.store.postgres.schema import shipped_versions
from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.before import schema_of, unpack
from tests.integration.daemon import Daemon, register_phone
from tests.integration.fleet import Fleet

EACH = 100
"""Events that are published at once, while something is done to the fleet."""


def schema(fleet: Fleet) -> int:
    """The version that the database has."""
    ((version,),) = fleet.postgres.run("SELECT version FROM schema", database=fleet.database)
    return int(version)


async def restart(daemon: Daemon, tree: Path | None) -> None:
    """In good order, as the program of a tree, or as this one."""
    assert await daemon.terminate() == 0, daemon.errors()
    daemon.tree = tree
    await daemon.start()


@pytest.mark.timeout(300)
async def test_daemons_of_the_version_before_work_and_start_beside_this_one_on_its_schema_and_lose_and_repeat_nothing(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    tree = unpack(tmp_path / "before")
    before, newest = schema_of(tree), shipped_versions()[-1].number
    assert before < newest, "the program before has to be of an older schema"
    async with Fleet.started(tmp_path, postgres, rabbitmq, services, daemons=2, tree=tree) as fleet:
        first, second = fleet.daemons
        published = 0

        async def under_load(deed: Callable[[], Awaitable[object]]) -> None:
            """Events before, meanwhile and after; both daemons take some of them."""
            nonlocal published
            doing = asyncio.ensure_future(deed())
            while True:
                is_last = doing.done()
                await fleet.publish(EACH)
                published += EACH
                if is_last:
                    break
                await asyncio.sleep(0.1)
            await doing
            await fleet.until_shared(first, second)
            await fleet.until_pushed(published)

        await fleet.until_shared(first, second)
        assert await asyncio.to_thread(schema, fleet) == before
        address = PostgresAddress(url=postgres.url(fleet.database))
        await under_load(lambda: asyncio.to_thread(migrate_now, address))
        assert await asyncio.to_thread(schema, fleet) == newest
        await under_load(lambda: restart(first, None))
        await under_load(lambda: register_phone(first, services))  # the phone that the one before has registered
        await under_load(lambda: restart(second, tree))
        await under_load(lambda: register_phone(second, services))
        await under_load(lambda: restart(second, None))
        await fleet.until_completed(published)
        await fleet.until_settled()
        assert fleet.pushed().total() == len(fleet.pushed()) == published
        for daemon in (first, second):
            assert not [line for line in daemon.log() if line["level"] == "error"]
