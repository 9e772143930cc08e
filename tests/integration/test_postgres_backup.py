"""A fleet's database copied while the fleet works, and brought back: what was not settled is pushed, and nothing twice."""

import asyncio
import json
from pathlib import Path

import pytest

from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import Daemon
from tests.integration.fleet import Fleet

EVENTS = 1000
COMPLETED = "SELECT count(*) FROM notification WHERE state = 'Completed'"
OPEN = "SELECT count(*) FROM notification WHERE state <> 'Completed'"


def use_database(daemon: Daemon, before: str, after: str) -> None:
    """In the configuration that the daemon reads when it starts."""
    config = json.loads(daemon.config_file.read_text())
    store = config["bridge"]["store"]
    assert store["url"].endswith(f"/{before}")
    store["url"] = f"{store['url'].removesuffix(before)}{after}"
    daemon.config_file.write_text(json.dumps(config))


@pytest.mark.timeout(300)
async def test_a_dump_made_while_a_fleet_works_is_restored_and_what_came_after_it_is_sent_again(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    async with Fleet.started(tmp_path, postgres, rabbitmq, services, daemons=2) as fleet:
        await fleet.until_shared(*fleet.daemons)
        services.apns.faults.latency(0.05)
        await fleet.publish(EVENTS // 2)
        await fleet.until_pushed(EVENTS // 4)
        dump = await asyncio.to_thread(postgres.dump, fleet.database)
        await fleet.publish(EVENTS - EVENTS // 2)
        await fleet.until_pushed(EVENTS)
        await fleet.until_completed(EVENTS)
        for daemon in fleet.daemons:
            assert await daemon.terminate() == 0
        first = set(fleet.pushed())

        before, fleet.database = fleet.database, postgres.create()
        await asyncio.to_thread(postgres.restore, dump, fleet.database)
        ((completed,),) = postgres.run(COMPLETED, database=fleet.database)
        ((waiting,),) = postgres.run(OPEN, database=fleet.database)
        assert completed, "the dump was to be made after some were pushed"
        assert completed + waiting < EVENTS, "and before all had come"
        mark = services.journal.last
        for daemon in fleet.daemons:
            use_database(daemon, before, fleet.database)
            await daemon.start()
        for numbers in (range(EVENTS // 2), range(EVENTS // 2, EVENTS)):  # each event with the broker that it came from
            await fleet.publish_numbers(numbers)
        await fleet.until_completed(EVENTS)
        await fleet.until_settled()
        pushed = [entry.push_id for entry in services.journal.after(mark)]
        assert len(pushed) == len(set(pushed)) == EVENTS - completed, "what the dump had settled is not pushed again"
        assert set(pushed) <= first, "a repeated push has its first push id"
