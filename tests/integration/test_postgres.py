"""The daemon over PostgreSQL: an event becomes a push, whatever dies in between."""

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from bridge.cli.exits import Exit
from hub.store.versions import versions_for
from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.postgres import PASSWORD, USER, Postgres
from tests.brokers.postgres_relay import READS, WRITES, Phase, PostgresRelay
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import START_TIMEOUT, Daemon, hubs

EVENTS = 1500


@pytest.fixture
def settings(services: PushServices, rabbitmq: RabbitMq, postgres: Postgres, tmp_path: Path) -> dict[str, Any]:
    """One queue of RabbitMQ, one rule, and the store in an empty database."""
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/{postgres.create()}"
    queue = {"name": f"test.postgres.{uuid4().hex[:8]}", "create_if_missing": {}}
    return {
        "version": 1,
        "bridge": {"store": {"url": url, "password_file": str(password), "max_pending": 200}},
        "sources": {"orders": {"rabbitmq": {"url": rabbitmq.url, "queue": queue}}},
        "rules": [{"name": "order", "push": {"to": "team:all", "with": {"text": "order {{ data.number }}"}}}],
        "hubs": hubs(services),
    }


def database_of(settings: dict[str, Any]) -> str:
    return str(settings["bridge"]["store"]["url"]).rpartition("/")[2]


def accepted(postgres: Postgres, database: str) -> list[Any]:
    """(state, notifications, events) of all that is in the database."""
    query = "SELECT state, count(*), count(DISTINCT event_id) FROM notification GROUP BY state"
    return postgres.run(query, database=database)


async def register(daemon: Daemon, services: PushServices) -> None:
    phone = services.add_phone("phone", "apns")
    installation = {
        "installationId": phone.name,
        "platform": phone.platform,
        "pushChannel": phone.handle,
        "tags": ["team:all"],
        "templates": {"text": {"body": '{"aps": {"alert": "$(text)"}}'}},
    }
    await daemon.register(installation)


async def publish(rabbitmq: RabbitMq, settings: dict[str, Any], *, first: int = 0, count: int = EVENTS) -> None:
    queue = settings["sources"]["orders"]["rabbitmq"]["queue"]["name"]
    numbers = range(first, first + count)
    messages = ((orjson.dumps({"number": number}), {"message_id": f"order-{number}"}) for number in numbers)
    await asyncio.to_thread(queues.put, rabbitmq.url, queue, messages)


async def until_pushed(services: PushServices, count: int) -> None:
    """Return when so many notifications have been pushed."""
    async with asyncio.timeout(START_TIMEOUT):
        while len({entry.push_id for entry in services.journal}) < count:
            await asyncio.sleep(0.05)


async def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output of `pushbridge` with these arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.timeout(300)
async def test_kills_of_the_daemon_and_of_the_database_lose_nothing_and_accept_nothing_twice(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, settings: dict[str, Any], tmp_path: Path
) -> None:
    async with Daemon(tmp_path, settings) as daemon:
        await daemon.start()
        await register(daemon, services)
        services.apns.faults.latency(0.05)
        await publish(rabbitmq, settings)
        await services.journal.wait_for(count=200, timeout=START_TIMEOUT)
        await daemon.kill()
        await daemon.start()
        await services.journal.wait_for(count=600, timeout=START_TIMEOUT)
        await asyncio.to_thread(postgres.kill)
        said = await daemon.until_readiness(lambda status, lines: status == 503)
        assert any(line.startswith("store: failing") and "cannot be reached" in line for line in said), said
        assert len({entry.push_id for entry in services.journal}) < EVENTS, "the database was to be away in between"
        await asyncio.to_thread(postgres.start)
        await daemon.until_ready()
        await until_pushed(services, EVENTS)
        assert (await daemon.metrics())['pushbridge_store_commit_seconds_count{engine="postgres"}'] > 0
        assert await daemon.terminate() == 0, daemon.errors()
    assert await asyncio.to_thread(accepted, postgres, database_of(settings)) == [("Completed", EVENTS, EVENTS)]
    assert len({entry.push_id for entry in services.journal}) == EVENTS, "a repeated push has its first push id"


@pytest.mark.timeout(300)
async def test_a_connection_cut_in_each_phase_of_a_transaction_is_named_and_loses_and_repeats_no_event(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Each phase once for what writes, renewals among it, and once for what reads, with events under way."""
    cuts = [(phase, begin) for phase in Phase for begin in (WRITES, READS)]
    each = 20
    async with PostgresRelay(postgres.port) as relay:
        store = settings["bridge"]["store"]
        url = store["url"].replace(f":{postgres.port}/", f":{relay.port}/")
        store["url"] = f"{url}?sslmode=disable&gssencmode=disable"
        async with Daemon(tmp_path, settings) as daemon:
            await daemon.start()
            await register(daemon, services)
            for number, (phase, begin) in enumerate(cuts):
                relay.arm(phase, begin=begin)
                await publish(rabbitmq, settings, first=number * each, count=each)
                async with asyncio.timeout(START_TIMEOUT):
                    await relay.until_cut()
                await until_pushed(services, (number + 1) * each)
            await daemon.until_ready()
            again = [line["event"] for line in daemon.log() if "connected to the database again" in line["event"]]
            assert len(again) >= len(cuts) - 1, "of the last one it is told when the connection is needed"
            assert sum("again for reads: the connection to the database was lost" in line for line in again) > 0
            failed = [line for line in daemon.log() if line["event"] == "store failed"]
            assert any("the connection to the database was lost" in line["error"] for line in failed), failed
            assert await daemon.terminate() == 0, daemon.errors()
    database = database_of(settings).partition("?")[0]
    assert await asyncio.to_thread(accepted, postgres, database) == [("Completed", len(cuts) * each, len(cuts) * each)]
    assert len({entry.push_id for entry in services.journal}) == len(cuts) * each


async def test_the_schema_is_made_apart_from_the_daemon_and_doctor_names_what_the_database_is(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    async with Daemon(tmp_path, settings) as first:
        code, output = await command("migrate", "--sql", str(first.config_file))
        assert (code, output.count("CREATE TABLE notification (")) == (Exit.DONE, 1)
        code, output = await command("migrate", str(first.config_file))
        assert (code, f"schema version {versions_for('postgres')[-1].number}" in output) == (Exit.DONE, True), output
        await first.start()
        code, output = await command("doctor", str(first.config_file))
        assert code == Exit.DONE, output
        assert "PostgreSQL 1" in output
        assert f"database {database_of(settings)}" in output
        assert "daemons work on the database, from 127.0.0.1" in output
        code, output = await command("migrate", "--sql", str(first.config_file))
        assert (code, "CREATE" in output) == (Exit.DONE, False)
        assert await first.terminate() == 0
