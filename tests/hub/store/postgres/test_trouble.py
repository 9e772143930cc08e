"""What goes wrong around a database: a pooler, a full disk, a failover to a clock that is behind, a newer schema."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyroaring import BitMap

from hub.errors import StoreError
from hub.notification import Platform
from hub.outcome import State
from hub.store.contracts.outbox import Audience
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.migrate import migrate, migrate_now
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.store import PostgresStore
from hub.store.versions import SchemaVersion
from hub.work import Lane
from tests.brokers.pgbouncer import pooler
from tests.brokers.postgres import Postgres, small_disk
from tests.hub.examples import HUB, arrival, installation, notification
from tests.hub.store.suite.harness import WHOLE, begin, everything, ids, went_well

SPACE = 48
"""MiB of the small file system: a database takes a sixth."""


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_hands_out_sessions_by_the_transaction_is_refused(
    postgres: Postgres, database: str, mode: str
) -> None:
    with (
        pooler(postgres, database, mode=mode) as url,
        pytest.raises(StoreError, match="a pooler hands out a connection of others: it has to pool sessions"),
    ):
        await PostgresStore(PostgresAddress(url=url)).open()


async def test_a_pooler_of_sessions_is_no_hindrance(postgres: Postgres, database: str) -> None:
    with pooler(postgres, database, mode="session") as url:
        store = PostgresStore(PostgresAddress(url=url))
        await store.open()
        (work,) = await begin(store, notification())
        assert (await store.record([went_well(work)])).ended == {(HUB, State.COMPLETED): 1}
        await store.own()
        await store.close()


# The disk


@pytest.fixture
def small() -> Iterator[Path]:
    with small_disk(SPACE) as directory:
        yield directory


async def test_a_full_disk_of_the_database_is_named_and_loses_nothing_that_was_confirmed(
    postgres: Postgres, small: Path
) -> None:
    postgres.run(f"CREATE TABLESPACE small LOCATION '{small}'")
    name = postgres.create()
    postgres.run(f"ALTER DATABASE {name} SET TABLESPACE small")
    store = PostgresStore(PostgresAddress(url=postgres.url(name)))
    await store.open()
    confirmed: list[str] = []
    (small / "ballast").write_bytes(bytes(2**20 * (SPACE - 16)))

    async def fill() -> None:
        """Texts that cannot be compressed, until there is no room."""
        for number in range(len(confirmed), 2000):
            given = notification(id=f"{number:032x}", rule=os.urandom(50_000).hex())
            await store.accept([arrival(given, event_id=f"e{number}")], start=0)
            confirmed.append(given.id)

    for _ in range(2):
        with pytest.raises(StoreError, match="the disk of the database is full"):
            await fill()
    assert confirmed
    (small / "ballast").unlink()
    again = [arrival(notification(id=id_), event_id=f"e{number}") for number, id_ in enumerate(confirmed)]
    assert len((await store.accept(again, start=0)).duplicates) == len(confirmed)
    assert set(confirmed) <= set(ids(await store.take(Lane.SINGLE, everything())))
    await store.close()
    postgres.drop(name)
    postgres.run("DROP TABLESPACE small")


# The clock

BEHIND = """
CREATE SCHEMA behind;
CREATE TABLE behind.step (seconds double precision);
INSERT INTO behind.step VALUES (0);
CREATE FUNCTION behind.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT pg_catalog.clock_timestamp() + seconds * interval '1 second' FROM behind.step $$;
"""
"""A clock that can be set, found before the server's own."""


@pytest.fixture
async def behind(postgres: Postgres, database: str) -> AsyncIterator[PostgresAddress]:
    postgres.run(BEHIND, database=database)
    yield PostgresAddress(url=f"{postgres.url(database)}?options=-csearch_path%3Dpublic,behind,pg_catalog")
    postgres.run("DROP SCHEMA behind CASCADE", database=database)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
async def test_a_failover_to_a_host_with_another_clock_loses_and_repeats_nothing_and_gives_nothing_up(
    postgres: Postgres, database: str, behind: PostgresAddress, seconds: float
) -> None:
    """The sessions are cut, and the next ones are with the other host."""
    first, second = (PostgresStore(replace(behind, name=name)) for name in ("p1", "p2"))
    await first.open()
    events = [arrival(notification(), event_id=f"e{number}") for number in range(20)]
    (begun, *rest) = (await first.accept(events, start=WHOLE)).work
    await first.postpone(rest, delay=0, service=(HUB, Platform.FCM))
    await second.open()
    owned = first.ownership().owned
    before = first.now() - time.time()
    postgres.run(f"UPDATE behind.step SET seconds = {seconds}", database=database)
    await asyncio.to_thread(postgres.cut, database)
    for store in (first, second):
        for _ in range(3):  # a session that was lost costs a call
            try:
                await store.own()
                await store.tick()
            except StoreError:
                continue
    assert abs(first.now() - time.time() - before - seconds) < 1
    assert abs(first.now() - second.now()) < 1
    assert (first.ownership().owned + second.ownership().owned, first.ownership().lost) == (owned, 0)
    assert len((await second.accept(events, start=0)).duplicates) == len(events)
    assert 0 <= first.now() - begun.accepted_at < 60
    assert (await first.record([went_well(begun)])).ended == {(HUB, State.COMPLETED): 1}
    for store in (first, second, first):  # the queue is given to the second now that nothing of it is in hand
        await store.own()
    found = [work for store in (first, second) for work in await store.take(Lane.SINGLE, everything())]
    assert sorted(ids(found)) == sorted(ids(rest))
    assert all(0 <= first.now() - work.accepted_at < 60 for work in found)
    for store in (first, second):
        await store.close()


# A newer schema

NEWER = """
ALTER TABLE notification ADD COLUMN colour text COLLATE "C";
ALTER TABLE page ADD COLUMN weight bigint NOT NULL DEFAULT 1;
ALTER TABLE process ADD COLUMN mood text NOT NULL DEFAULT '';
ALTER TABLE queue ADD COLUMN colour bigint NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN colour text;
CREATE TABLE added (queue bigint NOT NULL, n bigint NOT NULL, PRIMARY KEY (queue, n));
CREATE INDEX notification_colour ON notification (queue, colour) WHERE colour IS NOT NULL;
"""
"""What a version may add that the one before can work with: columns with a default or without a value, tables, indexes."""


def bring_further(address: PostgresAddress) -> None:
    number = shipped_versions()[-1].number + 1
    newer = SchemaVersion(number=number, sql=NEWER, readable_from=number - 1)
    with address.connect() as connection:
        migrate(connection, [*shipped_versions(), newer])


async def test_a_program_of_the_version_before_works_on_while_the_schema_becomes_newer_and_starts_on_it(
    postgres: Postgres,
) -> None:
    """Its statements are prepared before, and run before, during and after the change."""
    name = postgres.create()
    address = PostgresAddress(url=postgres.url(name))
    stores = [PostgresStore(replace(address, name=f"old {number}")) for number in range(2)]
    for store in stores:
        await store.open()
    over = asyncio.Event()
    done: list[str] = []

    async def work(store: PostgresStore) -> None:
        round_ = 0
        while not over.is_set() or round_ < 5:
            round_ += 1
            await store.put_installations(HUB, [installation(f"phone {id(store)} {round_}", "news")])
            begun = await begin(store, *(notification() for _ in range(5)))
            if not begun:  # it owns no queue yet
                await store.own()
                continue
            first, *others = begun
            await store.expand(first, Audience(pages=[(Platform.FCM, BitMap([round_]))]))
            await store.record([went_well(piece) for piece in others])
            done.extend(ids(others))
            await store.own()
            await store.tick()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for store in stores:
            group.create_task(work(store))
        while len(done) < 40:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(bring_further, address)
        third = PostgresStore(replace(address, name="old 3"))
        await third.open()
        since = len(done)
        while len(done) < since + 40:
            await asyncio.sleep(0.01)
        over.set()
    states = dict(postgres.run("SELECT state, count(*) FROM notification WHERE n > 0 GROUP BY state", database=name))
    assert states["Completed"] >= len(done)
    for store in (*stores, third):
        await store.close()
    assert postgres.run("SELECT count(*) FROM notification WHERE colour IS NOT NULL", database=name) == [(0,)]
    postgres.drop(name)


async def test_a_migration_that_would_end_in_a_deadlock_with_a_daemon_at_work_stands_back(postgres: Postgres) -> None:
    """A daemon has read `device` and goes on to `notification`, which the migration has changed already. Were they to wait
    for each other, the server would end the one that began to wait first or looks soonest, here the daemon."""
    name = postgres.create()
    address = PostgresAddress(url=postgres.url(name))
    await asyncio.to_thread(migrate_now, address)
    with address.connect() as daemon:
        daemon.execute("SET deadlock_timeout = '600ms'")  # sooner than the session of the migration looks for one
        daemon.execute("BEGIN")
        daemon.execute("SELECT count(*) FROM device")
        migrating = asyncio.create_task(asyncio.to_thread(bring_further, address))
        while not postgres.run("SELECT 1 FROM pg_locks WHERE NOT granted", database=name):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(daemon.execute, "SELECT count(*) FROM notification")
        daemon.execute("COMMIT")
        await migrating
    assert postgres.run("SELECT version FROM schema", database=name) == [(shipped_versions()[-1].number + 1,)]
    postgres.drop(name)


async def test_a_hub_whose_number_another_process_takes_in_the_same_moment_gets_the_next(postgres: Postgres) -> None:
    name = postgres.create()
    address = PostgresAddress(url=postgres.url(name))
    store = PostgresStore(address)
    await store.open()
    with address.connect() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO hub (id, name) VALUES (1, 'theirs')")
        putting = asyncio.create_task(store.put_installations("ours", [installation("phone", "news")]))
        while not postgres.run("SELECT 1 FROM pg_locks WHERE NOT granted", database=name):
            await asyncio.sleep(0.01)
        other.execute("COMMIT")
        await putting
    assert postgres.run("SELECT id, name FROM hub ORDER BY id", database=name) == [(1, "theirs"), (2, "ours")]
    await store.close()
    postgres.drop(name)
