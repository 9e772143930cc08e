"""The daemon on a table: from a row to a push, past poison, an outage and kills; what was committed is accepted once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox.services import PushServices
from tests.brokers.mariadb import MariaDb
from tests.brokers.postgres import Postgres
from tests.integration import outboxes
from tests.integration.daemon import Daemon, hubs
from tests.integration.outboxes import CREATE, INSERT, configuration
from tests.integration.sql_databases import SqlDatabase

pytestmark = pytest.mark.processes
PATIENCE = 60.0


def on(server: Postgres | MariaDb) -> SqlDatabase:
    name = server.create()
    return SqlDatabase(url=server.url(name), cut=lambda: server.cut(name))


async def until(found: Any, wanted: Any) -> None:
    """Ask until the answer is the one wanted."""
    answer = None
    try:
        async with asyncio.timeout(PATIENCE):
            while (answer := await found()) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{answer} in place of {wanted}") from None


async def test_a_row_becomes_a_push_and_one_that_cannot_be_decoded_a_dead_letter(
    postgres: Postgres, tmp_path: Path
) -> None:
    database = on(postgres)
    database.run(CREATE.format(key=database.key))
    sql = {"url": database.url, "poll": "50ms", "body": "ref", "outbox": {"table": "push_outbox", "id": "id"}}
    async with PushServices(tmp_path) as services:
        phone = services.add_phone("ann", "apns")
        whole = configuration(database) | {
            "hubs": hubs(services),
            "sources": {"postings": {"sql": sql}},
            "rules": [
                {"name": "r", "push": {"to": "customer:{{ data.c }}", "with": {"text": "{{ meta.row.customer }}"}}}
            ],
        }
        async with Daemon(tmp_path, whole) as daemon:
            await daemon.start()
            await daemon.register(
                {
                    "installationId": "ann",
                    "platform": "apns",
                    "pushChannel": phone.handle,
                    "tags": ["customer:c1"],
                    "templates": {"alert": {"body": '{"aps": {"alert": "$(text)"}}'}},
                }
            )
            database.run(INSERT, values=[("{", "poison"), ('{"c": "c1"}', "of the row")])
            pushed = await services.journal.wait_for(lambda entry: entry.handle == phone.handle)
            assert b"of the row" in pushed[0].payload

            async def lag() -> float | None:
                return (await daemon.metrics()).get('pushbridge_ingest_lag_messages{source="postings"}')

            await until(lag, 0)
            with daemon.database() as store:
                assert store.execute("SELECT reason FROM dead_letter").fetchall() == [("decode",)]
    assert database.run("SELECT count(*) FROM push_outbox") == [(0,)]


async def test_a_database_that_is_away_is_named_and_the_source_goes_on_when_it_comes(
    mariadb: MariaDb, tmp_path: Path
) -> None:
    database = on(mariadb)
    database.run(CREATE.format(key=database.key))
    await asyncio.to_thread(mariadb.stop)
    async with Daemon(tmp_path, configuration(database)) as daemon:
        await daemon.launch()
        await daemon.until_readiness(lambda _, lines: any("postings" in line and "connect" in line for line in lines))
        await asyncio.to_thread(mariadb.start)
        database.run(INSERT, values=[("a", "c1")])
        await daemon.until_ready()

        async def accepted() -> list[str]:
            return outboxes.seen(daemon)

        await until(accepted, ["a"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
async def test_ids_seen_are_ids_committed_though_the_daemon_is_killed(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    database = on(request.getfixturevalue(engine))
    written, counted = await outboxes.run(tmp_path, database, rows=1600, kills=2)
    assert set(counted) == written.committed
    assert set(counted.values()) == {1}
    assert written.rolled_back


@pytest.mark.slow
async def test_a_watermark_sees_each_committed_row_once_though_ids_are_committed_out_of_order(
    postgres: Postgres, tmp_path: Path
) -> None:
    section: dict[str, Any] = {
        "watermark": {"table": "push_outbox", "id": "id", "column": "id", "overlap": 2000, "start": "earliest"}
    }
    written, counted = await outboxes.run(tmp_path, on(postgres), rows=1600, kills=2, **section)
    assert set(counted) == written.committed
    assert set(counted.values()) == {1}
