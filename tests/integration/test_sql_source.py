"""The source of a table against PostgreSQL and MariaDB: what all sources promise, and what is a database's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from connectors.base import ACK, NACK, LogPartition, Message
from connectors.errors import AuthenticationError, NotConnectedError, TopologyError
from connectors.sql import SqlSettings, SqlSource
from connectors.sql.outbox import OutboxReader
from connectors.sql.timing import Timing
from tests.brokers.mariadb import MariaDb
from tests.brokers.postgres import Postgres
from tests.connectors.behaviour import PATIENCE, SourceBehaviour, bodies, bodies_of, take
from tests.integration.sql_databases import SqlDatabase

QUICK = Timing(idle_wait=0.2, backlog_age=0.0, lock=1.0)
ENGINES = ("postgresql", "mariadb")
OUTBOX: Mapping[str, Any] = {"table": "push_outbox", "id": "id"}
WATERMARK: Mapping[str, Any] = {"table": "posting", "id": "id", "column": "seq", "overlap": 1000, "start": "earliest"}


@pytest.fixture(scope="module", params=ENGINES)
def make_database(request: pytest.FixtureRequest) -> Callable[[], SqlDatabase]:
    """Makes an empty database on each of the servers."""

    def make() -> SqlDatabase:
        if request.param == "postgresql":
            postgres: Postgres = request.getfixturevalue("postgres")
            name = postgres.create()
            return SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))
        mariadb: MariaDb = request.getfixturevalue("mariadb")
        name = mariadb.create()
        return SqlDatabase(url=mariadb.url(name), cut=lambda: mariadb.cut(name))

    return make


@pytest.fixture
def database(make_database: Callable[[], SqlDatabase]) -> SqlDatabase:
    database = make_database()
    database.run(
        f"CREATE TABLE push_outbox (id {database.key}, body VARCHAR(200), at DATE)",
        f"CREATE TABLE posting (id {database.key}, seq BIGINT, body VARCHAR(200))",
    )
    return database


def settings(database: SqlDatabase, **changes: Any) -> SqlSettings:
    given = {"url": database.url, "body": "body", "poll": 0.05}
    if not {"outbox", "watermark"} & changes.keys():
        given["outbox"] = OUTBOX
    return SqlSettings.model_validate(given | changes)


def fill(database: SqlDatabase, wanted: Sequence[bytes]) -> None:
    database.run("INSERT INTO push_outbox (body) VALUES (%s)", values=[(body.decode(),) for body in wanted])


class Offsets:
    """A store's offsets in memory."""

    def __init__(self) -> None:
        self.kept: dict[LogPartition, int] = {}

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        return {partition: self.kept[partition] for partition in partitions if partition in self.kept}

    async def advance(self, following: Mapping[LogPartition, int]) -> None:
        self.kept |= following

    async def forget(self, partitions: Sequence[LogPartition]) -> None:
        raise AssertionError("a table is never made again")


@asynccontextmanager
async def connected(database: SqlDatabase, **changes: Any) -> AsyncIterator[SqlSource]:
    offsets = changes.pop("offsets", None)
    source = SqlSource("postings", settings(database, **changes), offsets=offsets, timing=QUICK)
    try:
        await source.connect()
        yield source
    finally:
        await source.close()


class TableHarness:
    def __init__(self, database: SqlDatabase, insert: str, **changes: Any) -> None:
        self._database, self._insert = database, insert
        self.source = SqlSource("postings", settings(database, **changes), timing=QUICK)

    async def publish(self, wanted: Sequence[bytes]) -> None:
        values = [(body.decode(),) for body in wanted]
        await asyncio.to_thread(self._database.run, self._insert, values=values)

    async def lose_connection(self) -> None:
        await asyncio.to_thread(self._database.cut)


class TestOutbox(SourceBehaviour):
    @pytest.fixture
    async def harness(self, database: SqlDatabase) -> AsyncIterator[TableHarness]:
        harness = TableHarness(database, "INSERT INTO push_outbox (body) VALUES (%s)")
        yield harness
        await harness.source.close()


class TestWatermark(SourceBehaviour):
    @pytest.fixture
    async def harness(self, database: SqlDatabase) -> AsyncIterator[TableHarness]:
        insert = "INSERT INTO posting (seq, body) SELECT COALESCE(MAX(seq), 0) + 1, %s FROM posting"
        harness = TableHarness(database, insert, watermark=WATERMARK)
        yield harness
        await harness.source.close()


async def test_a_row_is_a_json_object_with_exact_values_unless_a_column_is_the_body(database: SqlDatabase) -> None:
    database.run(
        "CREATE TABLE debit (seq BIGINT PRIMARY KEY, amount DECIMAL(30,10), booked TIMESTAMP NULL, raw "
        + ("BYTEA" if database.is_postgres else "BLOB")
        + ", note TEXT)",
        "INSERT INTO debit VALUES (9007199254740993, 12345678901234567890.1234567891, '2026-03-01 04:05:06', %s, NULL)",
        values=[(b"\xff\x00",)],
    )
    async with connected(database, body=None, outbox={"table": "debit", "id": "seq"}) as source:
        (message,) = await take(source, 1)
        assert message.body == (
            b'{"seq":9007199254740993,"amount":12345678901234567890.1234567891,"booked":"2026-03-01T04:05:06",'
            b'"raw":"/wA=","note":null}'
        )
        assert message.properties["row"]["raw"] == b"\xff\x00"
        assert (message.properties["table"], message.properties["id"]) == ("debit", 9007199254740993)
        await source.settle([(message, ACK)])
    assert database.run("SELECT count(*) FROM debit") == [(0,)]


async def test_two_processes_share_the_rows_and_a_locked_row_holds_up_no_other(database: SqlDatabase) -> None:
    fill(database, bodies(6))
    with closing(database.connect()) as writer, writer.cursor() as cursor:
        cursor.execute("SELECT body FROM push_outbox WHERE id = 1 FOR UPDATE")
        async with (
            connected(database, receive={"max_in_flight": 2}) as first,
            connected(database, receive={"max_in_flight": 3}) as second,
        ):
            mine, theirs = await take(first, 2), await take(second, 3)
            assert bodies_of([*mine, *theirs]) == bodies(6)[1:]
            await first.settle([(message, ACK) for message in mine])
            await second.settle([(message, ACK) for message in theirs])
            assert await first.receive(10) == []
            writer.rollback()
            assert bodies_of(await take(second, 1)) == bodies(6)[:1]


async def test_a_table_that_is_locked_or_a_user_without_rights_is_named(database: SqlDatabase) -> None:
    fill(database, bodies(1))
    with closing(database.connect()) as writer, writer.cursor() as cursor:
        is_postgres = database.is_postgres
        cursor.execute("LOCK TABLE push_outbox" if is_postgres else "LOCK TABLES push_outbox WRITE")
        with pytest.raises(NotConnectedError, match="another session holds a lock"):
            async with connected(database):
                pass
    async with connected(database) as source:
        assert bodies_of(await take(source, 1)) == bodies(1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outbox": {"table": "nowhere", "id": "id"}}, "nowhere"),
        ({"outbox": {"table": "push_outbox", "id": "seq"}}, "push_outbox has no column 'seq'; it has id, body, at"),
        ({"body": "payload"}, "has no column 'payload'"),
        ({"watermark": {"table": "posting", "id": "id", "column": "body"}}, "kind str; take a column of whole numbers"),
    ],
)
async def test_a_table_or_a_column_that_is_missing_is_named(
    database: SqlDatabase, changes: Mapping[str, Any], said: str
) -> None:
    database.run("INSERT INTO posting (seq, body) VALUES (1, 'x')")
    with pytest.raises(TopologyError, match=said):
        async with connected(database, **changes):
            pass


async def test_a_wrong_password_is_named_and_not_shown(database: SqlDatabase) -> None:
    url = database.url.replace("only-for-these-tests", "guessed-by-a-test")
    with pytest.raises(AuthenticationError) as refused:
        async with connected(database, url=url):
            pass
    assert "guessed" not in str(refused.value)


async def test_rows_are_marked_where_they_may_not_be_deleted(database: SqlDatabase) -> None:
    database.run(
        "ALTER TABLE push_outbox ADD done CHAR(1) DEFAULT 'N'", "ALTER TABLE push_outbox ADD pushed TIMESTAMP NULL"
    )
    fill(database, bodies(3))
    by_flag = {**OUTBOX, "done": "mark", "mark": {"column": "done", "waiting": "N", "done": "Y"}}
    async with connected(database, outbox=by_flag) as source:
        first, second, _ = await take(source, 3)
        await source.settle([(first, ACK), (second, ACK)])
        assert (await source.backlog()).messages == 1
    assert sorted(database.run("SELECT done FROM push_outbox")) == [("N",), ("Y",), ("Y",)]
    by_time = {**OUTBOX, "done": "mark", "mark": {"column": "pushed"}}
    async with connected(database, outbox=by_time) as source:
        messages = await take(source, 3)
        await source.settle([(message, ACK) for message in messages])
        assert await source.receive(3) == []
    assert database.run("SELECT count(*) FROM push_outbox WHERE pushed IS NOT NULL") == [(3,)]


@pytest.mark.parametrize("at_once", [1, 10])
async def test_rows_that_share_an_id_are_left_and_named_and_the_rest_goes_on(
    database: SqlDatabase, caplog: pytest.LogCaptureFixture, at_once: int
) -> None:
    database.run(
        "CREATE TABLE twice (id INT, body VARCHAR(9))",
        "INSERT INTO twice VALUES (7, 'a'), (7, 'b'), (8, 'c'), (9, 'd')",
    )
    seen: list[Message] = []
    async with connected(database, outbox={"table": "twice", "id": "id"}, receive={"max_in_flight": at_once}) as source:
        async with asyncio.timeout(PATIENCE):
            while not {b"c", b"d"} <= set(bodies_of(seen)):
                messages = await source.receive(at_once)
                seen += messages
                await source.settle([(message, ACK) for message in messages])
    assert len(seen) == (3 if at_once == 1 else 2)  # one by one, the first is taken before the second is known
    assert sorted(database.run("SELECT body FROM twice")) == [("a",), ("b",)]
    (line,) = [record.getMessage() for record in caplog.records if "left where it is" in record.getMessage()]
    assert "row 7 of twice is left where it is: other rows have this id too" in line


async def test_a_row_that_was_not_read_is_not_deleted_in_the_place_of_one_that_is_gone(database: SqlDatabase) -> None:
    database.run(
        "CREATE TABLE twice (id INT, body VARCHAR(9))", "INSERT INTO twice VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    )
    async with connected(database, outbox={"table": "twice", "id": "id"}) as source:
        first, second, third = await take(source, 3)
        await source.settle([(third, ACK)])  # which ends the claim of all three
        database.run("DELETE FROM twice WHERE id = 2", "INSERT INTO twice VALUES (1, 'unread')")
        await source.settle([(first, ACK), (second, ACK)])
    assert sorted(database.run("SELECT body FROM twice")) == [("a",), ("unread",)]


async def test_an_id_that_the_database_keeps_unique_is_known_as_such(database: SqlDatabase) -> None:
    database.run(
        "CREATE TABLE indexed (id INT, body VARCHAR(9))",
        "CREATE UNIQUE INDEX indexed_id ON indexed (id)",
        "CREATE TABLE plain (id INT, body VARCHAR(9))",
        "CREATE TABLE pair (id INT, body VARCHAR(9), PRIMARY KEY (id, body))",
    )
    known = {}
    for table in ("push_outbox", "indexed", "plain", "pair"):
        async with connected(database, outbox={"table": table, "id": "id"}) as source:
            assert isinstance(source._reader, OutboxReader)
            known[table] = source._reader._has_unique_id
    assert known == {"push_outbox": True, "indexed": True, "plain": False, "pair": False}


async def test_a_row_without_an_id_is_named_and_the_rest_goes_on(
    database: SqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.run(
        "CREATE TABLE nameless (id INT NULL, body VARCHAR(9))", "INSERT INTO nameless VALUES (NULL, 'a'), (1, 'b')"
    )
    async with connected(database, outbox={"table": "nameless", "id": "id"}) as source:
        messages = await take(source, 1)
        assert bodies_of(messages) == [b"b"]
        await source.settle([(message, ACK) for message in messages])
        assert await source.receive(10) == []
        assert (await source.backlog()).messages == 1
        assert "1 rows of nameless have no id and are left where they are" in caplog.text
    assert database.run("SELECT body FROM nameless") == [("a",)]


async def test_a_row_that_cannot_be_deleted_is_named_and_the_rest_goes_on(
    database: SqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, bodies(3))
    database.run(
        "CREATE TABLE child (id BIGINT, FOREIGN KEY (id) REFERENCES push_outbox (id))", "INSERT INTO child VALUES (2)"
    )
    async with connected(database) as source:
        messages = await take(source, 3)
        await source.settle([(message, ACK) for message in messages])
        fill(database, [b"later"])
        assert bodies_of(await take(source, 1)) == [b"later"]
    assert [id for (id,) in database.run("SELECT id FROM push_outbox ORDER BY id")] == [2, 4]
    assert "row 2 of push_outbox is left where it is" in caplog.text


async def test_a_value_that_the_driver_cannot_read_is_text_of_the_database(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    name = postgres.create()
    database = SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))
    database.run(
        "CREATE TABLE push_outbox (id INT PRIMARY KEY, at DATE)",
        "INSERT INTO push_outbox VALUES (1, '2026-01-02'), (2, 'infinity'), (3, '12026-01-02')",
    )
    async with connected(database, body=None) as source:
        messages = await take(source, 3)
        assert [message.body for message in messages] == [
            b'{"id":1,"at":"2026-01-02"}',
            b'{"id":2,"at":"infinity"}',
            b'{"id":3,"at":"12026-01-02"}',
        ]
        await source.settle([(message, ACK) for message in messages])
        assert (await source.backlog()).messages == 0
    assert "a row of push_outbox is read in parts" in caplog.text


async def test_an_id_that_comes_again_for_another_row_is_another_message(database: SqlDatabase) -> None:
    positions: list[str | None] = []
    for body in ("first", "second"):
        database.run(f"INSERT INTO push_outbox (id, body) VALUES (1, '{body}')")
        async with connected(database) as source:
            messages = await take(source, 1)
            positions += [message.position for message in messages]
            await source.settle([(message, ACK) for message in messages])
    assert len(set(positions)) == 2


async def test_the_least_rights_are_enough_and_a_missing_one_is_named(database: SqlDatabase) -> None:
    fill(database, bodies(2))
    database.run("INSERT INTO posting (seq, body) VALUES (1, 'x')")
    user = f"least_{database.url.rpartition('/')[2]}"
    if database.is_postgres:
        database.run(f"CREATE ROLE {user} LOGIN PASSWORD 'p'", f"GRANT SELECT ON push_outbox, posting TO {user}")
        rights = f"GRANT DELETE, UPDATE (id) ON push_outbox TO {user}"
    else:
        database.run(f"CREATE USER {user} IDENTIFIED BY 'p'", f"GRANT SELECT ON push_outbox TO {user}")
        database.run(f"GRANT SELECT ON posting TO {user}")
        rights = f"GRANT DELETE ON push_outbox TO {user}"
    scheme, _, rest = database.url.partition("://")
    url = f"{scheme}://{user}:p@{rest.partition('@')[2]}"
    async with connected(database, url=url, watermark=WATERMARK) as source:
        assert bodies_of(await take(source, 1)) == [b"x"]
    with pytest.raises(TopologyError, match=r"(?i)denied"):
        async with connected(database, url=url):
            pass
    database.run(rights)
    async with connected(database, url=url) as source:
        await source.settle([(message, ACK) for message in await take(source, 2)])
        assert (await source.backlog()).messages == 0


# A watermark


async def settled(source: SqlSource, count: int) -> list[Message]:
    messages = await take(source, count)
    await source.settle([(message, ACK) for message in messages])
    return messages


async def test_a_row_that_is_committed_late_is_seen_within_the_overlap_and_once(database: SqlDatabase) -> None:
    offsets = Offsets()
    with closing(database.connect()) as late, late.cursor() as cursor:
        cursor.execute("INSERT INTO posting (seq, body) VALUES (10, 'late')")
        database.run("INSERT INTO posting (seq, body) VALUES (%s, %s)", values=[(11, "a"), (12, "b")])
        async with connected(database, watermark=WATERMARK, offsets=offsets) as source:
            assert bodies_of(await settled(source, 2)) == [b"a", b"b"]
            assert "committed more than 1000 behind" in source.warnings[0]
            late.commit()
            assert bodies_of(await settled(source, 1)) == [b"late"]
            assert await source.receive(10) == []
    assert {partition.number: following for partition, following in offsets.kept.items()}[0] == 13
    database.run("INSERT INTO posting (seq, body) VALUES (13, 'c')")
    async with connected(database, watermark={**WATERMARK, "overlap": 0}, offsets=offsets) as source:
        assert bodies_of(await settled(source, 2)) == [b"b", b"c"]  # the store knows that it had b


async def test_a_first_start_begins_behind_what_is_there_and_later_ones_do_not(database: SqlDatabase) -> None:
    offsets = Offsets()
    latest = {**WATERMARK, "start": "latest"}
    database.run("INSERT INTO posting (seq, body) VALUES (1, 'old'), (2, 'old')")
    async with connected(database, watermark=latest, offsets=offsets) as source:
        assert await source.receive(10) == []
    database.run("INSERT INTO posting (seq, body) VALUES (3, 'new')")
    async with connected(database, watermark=latest, offsets=offsets) as source:
        assert bodies_of(await settled(source, 1)) == [b"new"]


async def test_times_are_watermarks_and_a_row_that_changes_is_another_message(database: SqlDatabase) -> None:
    kind = "TIMESTAMPTZ" if database.is_postgres else "DATETIME(6)"
    database.run(
        f"CREATE TABLE status (id INT PRIMARY KEY, body VARCHAR(9), changed {kind} NULL)",
        "INSERT INTO status VALUES (1, 'a', '2026-03-01 04:05:06.000007'), (2, 'never', NULL)",
    )
    section = {"table": "status", "id": "id", "column": "changed", "overlap": "10m", "start": "earliest"}
    async with connected(database, watermark=section) as source:
        assert "committed more than 600 s behind" in source.warnings[0]
        assert "rows without changed" in source.warnings[1]
        assert bodies_of(await settled(source, 1)) == [b"a"]
        database.run("UPDATE status SET body = 'b', changed = '2026-03-01 04:05:07' WHERE id = 1")
        assert bodies_of(await settled(source, 1)) == [b"b"]
        assert (await source.backlog()).messages == 0


async def test_a_highest_value_that_cannot_be_read_is_named_with_its_column(postgres: Postgres) -> None:
    name = postgres.create()
    database = SqlDatabase(url=postgres.url(name), cut=lambda: postgres.cut(name))
    database.run(
        "CREATE TABLE late (id INT, body TEXT, at TIMESTAMPTZ)", "INSERT INTO late VALUES (1, 'a', 'infinity')"
    )
    with pytest.raises(TopologyError, match=r"the highest value of late\.at cannot be read: .*'infinity'; correct it"):
        async with connected(database, watermark={"table": "late", "id": "id", "column": "at", "overlap": "10m"}):
            pass


async def test_what_is_given_back_is_read_again_whatever_the_overlap(database: SqlDatabase) -> None:
    database.run("INSERT INTO posting (seq, body) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    async with connected(database, watermark={**WATERMARK, "overlap": 0}) as source:
        messages = await take(source, 3)
        await source.settle([(messages[0], NACK), (messages[1], ACK), (messages[2], ACK)])
        assert bodies_of(await settled(source, 1)) == [b"a"]
        async with asyncio.timeout(PATIENCE):
            assert await source.receive(10) == []
