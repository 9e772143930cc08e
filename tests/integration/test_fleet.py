"""Four daemons over one database: whatever dies, no event is lost, and none is accepted twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.fleet import DAEMONS, OWNERSHIP, Fleet

EVENTS = 10_000

pytestmark = pytest.mark.timeout(600)  # a minute on two idle cores


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    directory = tmp_path / "sandbox"
    directory.mkdir()
    async with PushServices(directory) as services:
        yield services


async def test_kills_stops_and_a_crash_of_the_database_lose_nothing_and_accept_nothing_twice(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    async with Fleet.started(tmp_path, postgres, rabbitmq, services) as fleet:
        first, second, third, fourth = fleet.daemons
        await fleet.until_shared(*fleet.daemons)
        store = (await fleet.status(second))["store"]
        assert (store["queues"], store["unowned"], len(store["processes"])) == (64, 0, DAEMONS)
        assert [one["this"] for one in store["processes"]].count(True) == 1
        await fleet.publish(EVENTS // 4)
        await fleet.until_pushed(500)
        stopped = asyncio.create_task(fleet.stop(second, 10.0))
        await fleet.kill(first)
        await fleet.publish(EVENTS // 4)
        await asyncio.gather(stopped, first.start())
        await fleet.crash_database()
        await fleet.publish(EVENTS // 4)
        await fleet.kill(third)
        await asyncio.gather(*(daemon.until_ready() for daemon in (first, second, fourth)))
        await fleet.publish(EVENTS // 4)
        await fleet.kill(fourth)
        await fleet.until_pushed(EVENTS)
        await fleet.until_completed(EVENTS)
        assert fleet.pushed().total() - EVENTS <= fleet.most_repeated()
        assert len(fleet.pushed()) == EVENTS, "a repeated push has its first push id"
        assert max(fleet.damage.new_owner) <= OWNERSHIP


async def test_a_rolling_restart_loses_and_repeats_nothing(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    async with Fleet.started(tmp_path, postgres, rabbitmq, services, daemons=2) as fleet:
        await fleet.until_shared(*fleet.daemons)
        for round_, daemon in enumerate(fleet.daemons, 1):
            await fleet.publish(1000)
            await fleet.until_pushed(round_ * 1000 - 700)
            assert await daemon.terminate() == 0, daemon.errors()
            await daemon.start()
        await fleet.until_pushed(2000)
        await fleet.until_completed(2000)
        assert fleet.pushed().total() == 2000
