"""The daemon over PostgreSQL: an event becomes a push, whatever dies in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.exits import Exit
from hub.store.versions import versions_for
from sandbox.services import PushServices
from tests.brokers.postgres import Postgres
from tests.brokers.postgres_relay import READS, WRITES, Phase, PostgresRelay
from tests.brokers.rabbitmq import RabbitMq
from tests.integration.daemon import START_TIMEOUT, Daemon
from tests.integration.on_postgres import (
    accepted,
    command,
    database_of,
    publish,
    register,
    settings_of,
    until_pushed,
)

EVENTS = 1500


@pytest.fixture
def settings(services: PushServices, rabbitmq: RabbitMq, postgres: Postgres, tmp_path: Path) -> dict[str, Any]:
    return settings_of(services, rabbitmq, postgres, tmp_path)


@pytest.mark.timeout(300)
async def test_kills_of_the_daemon_and_of_the_database_lose_nothing_and_accept_nothing_twice(
    rabbitmq: RabbitMq, postgres: Postgres, services: PushServices, settings: dict[str, Any], tmp_path: Path
) -> None:
    async with Daemon(tmp_path, settings) as daemon:
        await daemon.start()
        await register(daemon, services)
        services.apns.faults.latency(0.05)
        await publish(rabbitmq, settings, count=EVENTS)
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
