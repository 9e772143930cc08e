"""Four daemons over one database: whatever dies, no event is lost, and none is accepted twice."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import Daemon
from tests.integration.fleet import BUSY, DAEMONS, OWNERSHIP, Fleet

EVENTS = 10_000
pytestmark = pytest.mark.timeout(600)  # a minute on two idle cores


async def test_kills_stops_and_a_crash_of_the_database_lose_nothing_and_accept_nothing_twice(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    async with Fleet.started(tmp_path, postgres, rabbitmq, services) as fleet:
        first, second, third, fourth = fleet.daemons
        await fleet.until_shared(*fleet.daemons)
        store = await fleet.until_all_owned(second)
        assert (store["queues"], len(store["processes"])) == (64, DAEMONS)
        assert [one["this"] for one in store["processes"]].count(True) == 1
        await fleet.publish(EVENTS // 4)
        await fleet.until_pushed(500)
        stopped = asyncio.create_task(fleet.stop(second, 10.0))
        await fleet.kill(first)
        await fleet.publish(EVENTS // 4)
        await asyncio.gather(stopped, first.start())
        await fleet.crash_database(hard=True)
        await fleet.publish(EVENTS // 4)
        await fleet.kill(third)
        await asyncio.gather(*(daemon.until_ready() for daemon in (first, second, fourth)))
        await fleet.publish(EVENTS // 4)
        await fleet.kill(fourth)
        await fleet.until_pushed(EVENTS)
        await fleet.until_completed(EVENTS)
        await fleet.until_settled()
        assert fleet.pushed().total() - EVENTS <= fleet.most_repeated()
        assert len(fleet.pushed()) == EVENTS, "a repeated push has its first push id"
        assert max(fleet.damage.new_owner) <= BUSY * OWNERSHIP


async def test_a_rolling_restart_loses_and_repeats_nothing(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    async with Fleet.started(tmp_path, postgres, rabbitmq, services) as fleet:
        await fleet.until_shared(*fleet.daemons)
        for round_, daemon in enumerate(fleet.daemons, 1):
            await fleet.publish(1000)
            await fleet.until_pushed(round_ * 1000 - 700)
            assert await daemon.terminate() == 0, daemon.errors()
            await daemon.start()
        events = 1000 * DAEMONS
        await fleet.until_pushed(events)
        await fleet.until_completed(events)
        await fleet.until_settled()
        assert fleet.pushed().total() == events


NEW_HUB = "news"


def add_hub(daemon: Daemon, queue: str) -> None:
    """A second hub, with a queue of its own, in the configuration that the daemon reads when it starts."""
    config: dict[str, Any] = json.loads(daemon.config_file.read_text())
    (first,) = config["hubs"]
    config["hubs"][NEW_HUB] = config["hubs"][first]
    rabbitmq = config["sources"]["orders"]["rabbitmq"]
    config["sources"][NEW_HUB] = {"rabbitmq": {**rabbitmq, "queue": {"name": queue, "create_if_missing": {}}}}
    (order,) = config["rules"]
    push = order["push"]
    config["rules"] = [
        {**order, "source": "orders", "push": {**push, "hub": first}},
        {"name": "news", "source": NEW_HUB, "push": {**push, "hub": NEW_HUB}},
    ]
    daemon.config_file.write_text(json.dumps(config))


async def test_a_hub_that_one_daemon_does_not_know_yet_loses_nothing_while_the_others_are_changed(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, tmp_path: Path
) -> None:
    """Its daemon is killed with pushes under way, and the one that does not know the hub gets its queues."""
    events = 200
    async with Fleet.started(tmp_path, postgres, rabbitmq, services, daemons=2) as fleet:
        old, new = fleet.daemons
        queue = f"{fleet.queue}.new"
        assert await new.terminate() == 0
        add_hub(new, queue)
        await new.start()
        await fleet.until_shared(old, new)
        phone = services.add_phone("reader", "apns")
        template = {"text": {"body": '{"aps": {"alert": "$(text)"}}'}}
        installation = {"installationId": phone.name, "platform": phone.platform, "pushChannel": phone.handle}
        await new.register({**installation, "tags": ["team:all"], "templates": template}, hub=NEW_HUB)
        services.apns.faults.answer(503, "ServiceUnavailable", handle=phone.handle)
        await fleet.publish_to(queue, events)
        while sum(count for _, count, _ in await asyncio.to_thread(fleet.accepted)) < events:
            await asyncio.sleep(0.1)
        await fleet.kill(new)
        assert (await fleet.until_all_owned(old))["unowned"] == 0
        services.apns.faults.clear()
        await new.start()
        await fleet.until_completed(events)
        assert not any("Crashed" in line.get("event", "") for line in old.log())
        assert await old.terminate() == 0
        add_hub(old, queue)
        await old.start()
        await fleet.until_shared(old, new)
        await fleet.publish_to(queue, events)
        await fleet.until_completed(2 * events)
