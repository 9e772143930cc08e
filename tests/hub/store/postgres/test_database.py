"""One PostgreSQL database: what is refused, what is named, and how a lost session is taken up again."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from hub.errors import ConflictError, NotFoundError, StoreError
from hub.store.connection import Connection, Statement
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.database import PostgresDatabase
from hub.store.postgres.migrate import LOCKS, migrate, migrate_now, pending_sql
from hub.store.postgres.planning import RegistryPlanning
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.statements import LOCKS as ROW_LOCKS
from hub.store.postgres.statements import OWN_TEXTS, text_of
from hub.store.postgres.store import PostgresStore
from hub.store.versions import SchemaVersion
from hub.tls import Tls
from sandbox.tls import Authority
from tests.brokers.postgres import Postgres
from tests.hub.examples import arrival, notification
from tests.hub.store.suite.flows import written_behind_a_flood
from tests.hub.store.test_dialect import statements

ADD = Statement(
    "test.pg_add",
    "INSERT INTO configuration (id, revision, hash) VALUES (:id, :revision, :hash)"
    " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision",
    (("id", "bigint"), ("revision", "text"), ("hash", "text")),
)
ALL = Statement("test.pg_all", "SELECT id, revision FROM configuration ORDER BY id")
NAMED = Statement(
    "test.pg_named", "SELECT revision FROM configuration WHERE revision IN (:keys) ORDER BY id", (("revision", "text"),)
)
FROM = Statement(
    "test.pg_from",
    "SELECT id FROM configuration WHERE id >= :first ORDER BY id LIMIT :limit",
    (("first", "bigint"), ("limit", "bigint")),
)
_NAMED = re.compile(r"(?<!:):[a-z_]+|\(:keys\)")
PLAIN = Statement("test.pg_plain", "INSERT INTO configuration (id, revision, hash) VALUES (:id, '', '')")


@pytest.fixture
async def opened(address: PostgresAddress) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(address)
    await database.open()
    yield database
    await database.close()


async def refused(address: PostgresAddress) -> str:
    with pytest.raises(StoreError) as caught:
        await PostgresDatabase(address).open()
    return str(caught.value)


def has(kept: list[tuple[int, str]]) -> list[tuple[int, str, str]]:
    return [(*row, "") for row in kept]


async def test_texts_keep_every_character_and_rows_come_in_the_order_they_were_asked_for(
    opened: PostgresDatabase,
) -> None:
    texts = ["a\0b", "\ufdd0", "\ufdd00", "\0\ufdd0\0", "", "100% :x '", "😀"]
    kept = list(enumerate(texts))

    def job(connection: Connection) -> None:
        connection.insert_many(ADD, has(kept))
        assert connection.read(ALL) == kept
        assert connection.read_by_keys(NAMED, [texts[3], texts[0], "none"]) == [(texts[0],), (texts[3],)]
        assert connection.read_many(FROM, [(5, 1), (0, 2), (99, 3), (3, 1)]) == [(5,), (0,), (1,), (3,)]
        assert connection.write_all([(ADD, has([(7, "x"), (7, "y"), (8, "z")])), (ADD, [])]) == [3, 0]
        assert connection.read_by_keys(NAMED, ["x", "y"]) == [("y",)]

    await opened.write(job)


async def test_what_another_flow_writes_does_not_wait_for_all_of_a_flood(opened: PostgresDatabase) -> None:
    assert (await written_behind_a_flood(opened)).index("calls") <= 3


async def test_a_job_that_fails_costs_only_itself_and_a_repeated_key_is_a_conflict(opened: PostgresDatabase) -> None:
    def failing(connection: Connection) -> None:
        connection.write(PLAIN, id=9)
        raise NotFoundError("no such thing")

    answers = await asyncio.gather(
        opened.write(lambda connection: connection.write(PLAIN, id=1)),
        opened.write(failing),
        opened.write(lambda connection: connection.write(PLAIN, id=1)),
        opened.write(lambda connection: connection.write(PLAIN, id=2)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], NotFoundError)
    assert isinstance(answers[2], ConflictError)
    rows = await opened.read(lambda connection: connection.read(ALL))
    assert [number for number, _ in rows] == [1, 2]


async def test_a_read_cannot_write(opened: PostgresDatabase) -> None:
    with pytest.raises(StoreError, match="read-only"):
        await opened.read(lambda connection: connection.write(PLAIN, id=1))


async def test_a_look_is_one_statement_that_cannot_write_and_outlives_a_lost_session(
    opened: PostgresDatabase, postgres: Postgres, database: str
) -> None:
    await opened.write(lambda connection: connection.write(PLAIN, id=1))
    for _ in range(2):
        with pytest.raises(StoreError, match="read-only"):
            await opened.look(lambda connection: connection.write(PLAIN, id=2))
        with pytest.raises(RuntimeError, match="one call"):
            await opened.look(lambda connection: [connection.read(ALL), connection.read(ALL)])
        assert await opened.look(lambda connection: connection.read(ALL)) == [(1, "")]
        await asyncio.to_thread(postgres.cut, database)
        assert await opened.look(lambda connection: connection.read(ALL)) == [(1, "")]


async def test_a_lost_session_costs_the_job_that_was_under_way_and_no_other(
    opened: PostgresDatabase, postgres: Postgres, database: str
) -> None:
    def cut_within(connection: Connection) -> None:
        connection.write(PLAIN, id=1)
        postgres.cut(database)
        connection.write(PLAIN, id=2)

    with pytest.raises(StoreError, match=r"the database ended the connection|connection to the database was lost"):
        await opened.write(cut_within)
    await opened.write(lambda connection: connection.write(PLAIN, id=3))
    assert await opened.read(lambda connection: connection.read(ALL)) == [(3, "")]
    await asyncio.to_thread(postgres.cut, database)
    await opened.write(lambda connection: connection.write(PLAIN, id=4))
    assert len(await opened.read(lambda connection: connection.read(ALL))) == 2


async def test_a_database_that_crashes_comes_back_with_all_that_was_acknowledged(
    opened: PostgresDatabase, postgres: Postgres
) -> None:
    await opened.write(lambda connection: connection.write(PLAIN, id=1))
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(StoreError, match="the database cannot be reached"):
        await opened.write(lambda connection: connection.write(PLAIN, id=2))
    with pytest.raises(StoreError):
        await opened.read(lambda connection: connection.read(ALL))
    await asyncio.to_thread(postgres.start)
    await opened.probe()
    assert await opened.read(lambda connection: connection.read(ALL)) == [(1, "")]


async def test_a_process_that_needs_the_database_for_itself_and_those_that_share_it_keep_each_other_out(
    opened: PostgresDatabase, address: PostgresAddress, postgres: Postgres, database: str
) -> None:
    """The version before took the same lock alone."""
    second = PostgresDatabase(PostgresAddress(url=address.url))
    await second.open()
    alone = f"SELECT pg_try_advisory_lock({LOCKS}, 1)"
    assert postgres.run(alone, database=database) == [(False,)]
    await second.close()
    await opened.close()
    with psycopg.connect(postgres.url(database)) as connection:
        connection.execute(alone.replace("pg_try", "pg").encode())  # waits until the server has ended the sessions
        assert "stop it first" in await refused(address)


@pytest.mark.parametrize("before", [0, len(shipped_versions()) - 1])
async def test_ten_daemons_that_start_at_once_bring_a_database_to_the_newest_schema_once(
    postgres: Postgres, before: int
) -> None:
    """An empty one, and one of the version before."""
    name = postgres.create()
    address = PostgresAddress(url=postgres.url(name))
    if before:
        with address.connect() as connection:
            migrate(connection, shipped_versions()[:before])
    stores = [PostgresStore(replace(address, name=f"p{number}")) for number in range(10)]
    await asyncio.gather(*(store.open() for store in stores))
    assert postgres.run("SELECT version FROM schema", database=name) == [(shipped_versions()[-1].number,)]
    accepted = await asyncio.gather(*(store.accept([arrival(notification())], start=0) for store in stores))
    assert not any(each.duplicates for each in accepted)
    for store in stores:
        await store.close()
    postgres.drop(name)


async def test_a_role_that_may_not_change_the_schema_is_enough_for_a_daemon(postgres: Postgres) -> None:
    name = postgres.create()
    postgres.run("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    plain = PostgresAddress(url=postgres.url(name, user="plain", password="plain"))
    assert "run pushbridge migrate with a role that may" in await refused(plain)
    sql = pending_sql(plain)
    assert sql.startswith("BEGIN;")
    postgres.run(sql, database=name)
    assert "the role lacks a right" in await refused(plain)
    postgres.run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain", database=name)
    assert pending_sql(plain) == ""
    opened = PostgresDatabase(plain)
    await opened.open()
    await opened.probe()
    await RegistryPlanning(opened, plain, time.monotonic).tend()
    await opened.close()
    postgres.drop(name)
    postgres.run("DROP ROLE plain")


async def test_what_is_no_database_of_ours_or_of_another_version_is_named_and_left_alone(postgres: Postgres) -> None:
    name = postgres.create()
    address = PostgresAddress(url=postgres.url(name))
    postgres.run("CREATE TABLE schema (version bigint)", database=name)
    assert "belongs to another program" in await refused(address)
    postgres.run("DROP TABLE schema", database=name)
    migrate_now(address)
    following = shipped_versions()[-1].number + 1
    postgres.run(f"UPDATE schema SET version = {following}, readable_from = 1", database=name)
    newer = PostgresDatabase(address)
    await newer.open()
    await newer.close()
    postgres.run(f"UPDATE schema SET readable_from = {following}", database=name)
    assert "run the newer pushbridge" in await refused(address)
    postgres.run(
        f"UPDATE schema SET version = {following - 1}, readable_from = 1; DROP INDEX page_due",
        database=name,
    )
    assert "lacks page_due of its schema" in await refused(address)
    postgres.drop(name)


async def test_a_migration_that_fails_changes_nothing(postgres: Postgres) -> None:
    name = postgres.create()
    broken = SchemaVersion(number=2, sql="CREATE TABLE half (n bigint); SELECT 1 / 0", readable_from=1)
    with pytest.raises(StoreError, match="division by zero"):
        await PostgresDatabase(PostgresAddress(url=postgres.url(name)), versions=[*shipped_versions(), broken]).open()
    assert postgres.run("SELECT to_regclass('half')::text, to_regclass('schema')::text", database=name) == [
        (None, None)
    ]
    postgres.drop(name)


async def test_the_password_is_read_again_for_each_connection(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    postgres.run("CREATE ROLE rotated SUPERUSER LOGIN PASSWORD 'old'")
    url = f"postgresql://rotated@127.0.0.1:{postgres.port}/{database}"
    opened = PostgresDatabase(PostgresAddress(url=url, password_file=file))
    await opened.open()
    postgres.run("ALTER ROLE rotated PASSWORD 'new'")
    await asyncio.to_thread(postgres.cut, database)
    with pytest.raises(StoreError, match="the user or its password is refused"):
        await opened.probe()
    file.write_text("new\n")
    await opened.probe()
    await opened.close()
    postgres.run("DROP ROLE rotated")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"password": "wrong"}, "the user or its password is refused"),
        ({"user": "nobody"}, "the user or its password is refused"),
        ({"database": "none"}, "there is no such database or user"),
    ],
)
async def test_what_keeps_a_daemon_out_is_named(postgres: Postgres, changed: dict[str, str], words: str) -> None:
    said = await refused(PostgresAddress(url=postgres.url(**changed)))
    assert said.startswith("cannot open ")
    assert words in said


async def test_a_server_that_is_not_there_or_speaks_no_tls_is_named(postgres: Postgres, tmp_path: Path) -> None:
    address = PostgresAddress(url=postgres.url())
    assert "does not speak TLS" in await refused(replace(address, tls=Tls()))
    gone = replace(address, url="postgresql://x@127.0.0.1:1/x")
    assert "the database cannot be reached" in await refused(gone)
    nothing = replace(address, password_file=tmp_path / "gone")
    assert "cannot read bridge.store.password_file" in await refused(nothing)


def test_each_statement_is_prepared_by_the_server_and_few_have_a_text_of_their_own(
    postgres: Postgres, database: str
) -> None:
    known = {each.name for each in statements()}
    assert set(OWN_TEXTS) == {"store.time", "registry_target_columns"}
    assert set(OWN_TEXTS) | set(ROW_LOCKS) <= known
    with psycopg.connect(postgres.url(database)) as connection:
        for each in statements():
            if each.name in OWN_TEXTS or each.name in ROW_LOCKS:
                explained = _NAMED.sub("'1'", text_of(each)).replace("IN '1'", "IN ('1')")
                assert connection.execute(f"EXPLAIN {explained}".encode()).fetchall(), each.name


async def test_a_certificate_has_to_be_trusted_and_of_the_host(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    address = PostgresAddress(url=postgres.url(database), tls=Tls(ca_file=ours.ca_file))
    with postgres.serving_tls((tmp_path / "ours" / "server.pem").read_text()):
        with address.connect() as connection:
            assert connection.pgconn.ssl_in_use
        stranger = replace(address, tls=Tls(ca_file=other.ca_file))
        assert "the certificate of the database is not trusted" in await refused(stranger)
        other_name = replace(address, url=f"{address.url}?host=db.example&hostaddr=127.0.0.1")
        assert "the certificate of the database is of another host" in await refused(other_name)
