"""The planner knows of a registry that grows: else each look-up of keys reads a whole hub."""

import asyncio
import re

import psycopg
import pytest

from hub.store.outbox.taking import ANY_DUE
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.store import PostgresStore
from tests.brokers.postgres import Postgres
from tests.fakes.host_clock import HostClock
from tests.hub.examples import installation

PHONES = 1500


def expected(postgres: Postgres, database: str, hub: str) -> float:
    """Phones of a hub, as the planner sees it."""
    ((id_,),) = postgres.run(f"SELECT id FROM hub WHERE name = '{hub}'", database=database)
    query = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM device WHERE hub = {id_} AND shard = 0"
    (((plan,),),) = postgres.run(query, database=database)
    return float(plan["Plan"]["Plan Rows"])


async def test_a_hub_that_phones_were_imported_into_is_known_to_be_large_soon(postgres: Postgres) -> None:
    database, clock = postgres.create(), HostClock()
    store = PostgresStore(PostgresAddress(url=postgres.url(database)), monotonic=clock.monotonic)
    await store.open()
    postgres.run("ALTER TABLE device SET (autovacuum_enabled = off)", database=database)
    for hub, phones in (("first", PHONES), ("new", 3 * PHONES)):
        await store.import_installations(hub, [installation(f"{hub} {number}", "a") for number in range(phones)])
        assert expected(postgres, database, hub) < PHONES / 10
        async with asyncio.timeout(60):  # sessions report once a second what they have written
            while expected(postgres, database, hub) < phones / 2:
                clock.advance(5)
                await store.tick()
                await asyncio.sleep(0.1)
    await store.close()
    postgres.drop(database)


@pytest.mark.parametrize("known", [False, True], ids=["nothing is known", "all is empty"])
async def test_a_look_for_what_is_due_goes_by_its_index_in_the_queues_of_its_own_process(
    postgres: Postgres, known: bool
) -> None:
    """With any other plan it reads what waits for all processes, ten times a second, for as long as the plan is kept."""
    database = postgres.create()
    store = PostgresStore(PostgresAddress(url=postgres.url(database)))
    await store.open()
    values = {":keys": "1, 2, 3", ":single": "0", ":broadcast": "1", ":now": "1e9"}
    text = re.sub(r":[a-z]+", lambda name: values[name[0]], ANY_DUE.text)
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")
        if known:
            connection.execute("ANALYZE")
        plan = [line for (line,) in connection.execute(f"EXPLAIN {text}".encode()).fetchall()]
    await store.close()
    postgres.drop(database)
    found = re.findall(r"using (\w+_due|\w+_open)", "\n".join(plan))
    assert found == ["notification_due", "page_due", "page_due"], plan
    assert sum("queue = q.queue" in line for line in plan) == 3, plan
