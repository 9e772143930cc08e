"""Writes that come together are committed together, a failure costs only itself, and closing does not hang."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from hub.errors import NotFoundError, StoreError
from hub.store.connection import Connection, Statement
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from tests.hub.store.sqlite.numbers import INSERT, NUMBERS, endless, failing, insert, numbers, together
from tests.hub.store.suite.flows import written_behind_a_flood

QUICK = SqliteTuning(busy=0.05, grace=0.05)


@pytest.fixture
async def transactions() -> list[float]:
    return []


@pytest.fixture
async def database(tmp_path: Path, transactions: list[float]) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(
        tmp_path / "numbers.db",
        versions=NUMBERS,
        tuning=QUICK,
        allow_ephemeral=True,
        observe=lambda operation, seconds: transactions.append(seconds) if operation == "write" else None,
    )
    await database.open()
    yield database
    await database.close()


async def test_jobs_that_wait_are_one_transaction_in_the_order_they_came(
    database: SqliteDatabase, transactions: list[float]
) -> None:
    assert await together(database, *(database.write(insert(value)) for value in range(20))) == list(range(20))
    assert await numbers(database) == list(range(20))
    assert len(transactions) == 2, "the one that kept the writer busy, and the other twenty"


async def test_what_another_flow_writes_does_not_wait_for_all_of_a_flood(database: SqliteDatabase) -> None:
    assert (await written_behind_a_flood(database)).index("calls") <= 3


async def test_a_job_that_fails_costs_only_itself(database: SqliteDatabase) -> None:
    error = NotFoundError("no such thing")
    jobs = (insert(1), failing(error), insert(2), insert(1), insert(3))
    answers = await together(database, *(database.write(job) for job in jobs))
    assert answers[0::2] == [1, 2, 3]
    assert answers[1] is error
    assert isinstance(answers[3], StoreError)
    assert isinstance(answers[3].__cause__, apsw.ConstraintError)
    assert await numbers(database) == [1, 2, 3]


async def test_a_defect_comes_as_it_is_for_trying_again_would_not_mend_it(database: SqliteDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.write(failing(ZeroDivisionError("ours")))
    with pytest.raises(KeyError, match="value"):
        await database.write(lambda connection: connection.write(INSERT))
    assert await numbers(database) == []


async def test_a_caller_that_went_away_does_not_hold_up_the_others(database: SqliteDatabase) -> None:
    task = asyncio.ensure_future(database.write(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    assert await database.write(insert(2)) == 2
    assert await numbers(database) == [1, 2]


async def test_what_changes_in_memory_with_a_commit_changes_before_any_later_job(database: SqliteDatabase) -> None:
    changed: list[int] = []

    def changes_before(value: int) -> Callable[[Connection], int]:
        def job(connection: Connection) -> int:
            connection.write(INSERT, value=value)
            return len(changed)

        return job

    answers = await together(
        database,
        database.write(changes_before(1)),
        database.write(changes_before(2), then=lambda: changed.append(2)),
        database.write(changes_before(3)),
        database.write(insert(3), then=lambda: changed.append(3)),
    )
    assert answers[:3] == [0, 0, 1]
    assert isinstance(answers[3], StoreError)
    assert changed == [2]


async def test_a_database_that_another_program_holds_is_waited_for_once_by_all(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    other = apsw.Connection(str(tmp_path / "numbers.db"))
    other.execute("BEGIN IMMEDIATE")
    answers = await together_in_vain(database, *(insert(value) for value in range(20)))
    assert {str(answer) for answer in answers} == {"another program holds the database: database is locked"}
    other.execute("ROLLBACK")
    other.close()
    assert await database.write(insert(7)) == 7
    assert await numbers(database) == [7]


async def together_in_vain(database: SqliteDatabase, *jobs: Callable[[Connection], object]) -> list[object]:
    """Within the time that two transactions may wait: the first job alone, then all others."""
    async with asyncio.timeout(QUICK.busy * len(jobs) / 2):
        return await asyncio.gather(*(database.write(job) for job in jobs), return_exceptions=True)


async def test_a_read_sees_one_state_and_cannot_write(database: SqliteDatabase) -> None:
    await database.write(insert(1))
    with pytest.raises(StoreError, match="read-only"):
        await database.read(insert(2))
    assert await numbers(database) == [1]


async def test_closing_interrupts_what_reads_and_what_writes_for_too_long(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "numbers.db", versions=NUMBERS, tuning=QUICK, allow_ephemeral=True)
    await database.open()
    waiting = [
        asyncio.ensure_future(each)
        for each in (database.read(endless), database.write(endless), database.write(insert(1)))
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await database.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, StoreError) and "the store is closing" in str(answer) for answer in answers)


async def test_closing_finishes_what_waits_and_refuses_what_comes_after(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "numbers.db", versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    waiting = [asyncio.ensure_future(database.write(insert(value))) for value in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(database.close())
    await asyncio.gather(*waiting)
    await closing
    await database.close()
    for call in (database.write(insert(99)), database.read(endless)):
        with pytest.raises(StoreError, match="the store is closed"):
            await call
    again = SqliteDatabase(tmp_path / "numbers.db", versions=NUMBERS, allow_ephemeral=True)
    await again.open()
    assert await numbers(again) == list(range(5))
    await again.close()


async def test_a_probe_reaches_the_disk_and_changes_nothing(
    database: SqliteDatabase, transactions: list[float]
) -> None:
    await database.write(insert(1))
    await database.probe()
    assert len(transactions) == 2
    assert await numbers(database) == [1]


async def test_what_survives_a_power_cut_is_configured(database: SqliteDatabase) -> None:
    def pragmas(connection: Connection) -> list[object]:
        assert isinstance(connection, SqliteConnection)
        return [connection.apsw.pragma(name) for name in ("journal_mode", "synchronous", "secure_delete")]

    assert await database.write(pragmas) == ["wal", 2, 1]


async def test_too_old_an_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StoreError, match=r"SQLite 3\.51\.2 is too old: 3\.51\.3 or newer is needed"):
        await SqliteDatabase(tmp_path / "numbers.db", versions=NUMBERS, allow_ephemeral=True).open()
    assert not list(tmp_path.iterdir())


INSERT_MANY = Statement(
    "test.insert_many",
    "INSERT INTO number (content, name, value) VALUES (:content, :name, :value) ON CONFLICT DO NOTHING RETURNING value",
    columns=(("value", "bigint"), ("name", "text"), ("content", "bytea")),
)
UPDATE_MANY = Statement(
    "test.update_many",
    "UPDATE number SET name = :name WHERE value = :value AND name <> :name RETURNING value",
    columns=(("name", "text"), ("value", "bigint")),
)
BY_VALUE = Statement(
    "test.by_value",
    "SELECT value, name FROM number WHERE value IN (:keys) AND name <> :name ORDER BY value",
    columns=(("value", "bigint"),),
)
BY_CONTENT = Statement(
    "test.by_content",
    "SELECT value FROM number WHERE content IN (:keys) ORDER BY value",
    columns=(("content", "bytea"),),
)
BY_NAME = Statement(
    "test.by_name", "SELECT value FROM number WHERE name IN (:keys) ORDER BY value", columns=(("name", "text"),)
)
FROM_VALUE = Statement(
    "test.from_value",
    "SELECT value FROM number WHERE value >= :value ORDER BY value LIMIT :limit",
    columns=(("value", "bigint"), ("limit", "bigint")),
)
INSERT_NEW = Statement(
    "test.insert_new",
    "INSERT INTO number (value, name, content) VALUES (:value, :name, :content) ON CONFLICT DO NOTHING",
    columns=(("value", "bigint"), ("name", "text"), ("content", "bytea")),
)
RENAME = Statement(
    "test.rename",
    "UPDATE number SET name = :name WHERE value = :value",
    columns=(("name", "text"), ("value", "bigint")),
)


async def test_the_bulk_forms_bind_rows_by_the_order_of_their_columns(database: SqliteDatabase) -> None:
    def job(connection: Connection) -> None:
        rows = [(number, f"n{number}", bytes([number])) for number in range(5)]
        assert sorted(connection.insert_many(INSERT_MANY, rows)) == [(0,), (1,), (2,), (3,), (4,)]
        assert connection.insert_many(INSERT_MANY, [*rows, (5, None, None)]) == [(5,)]
        assert connection.insert_many(INSERT_MANY, []) == []
        assert connection.update_many(UPDATE_MANY, [("new", 1), ("n2", 2), ("new", 9)]) == [(1,)]
        assert connection.read_by_keys(BY_VALUE, [3, 1, 1, 77], name="n3") == [(1, "new")]
        assert connection.read_by_keys(BY_CONTENT, [b"\x04", b"\x02", b"none"]) == [(2,), (4,)]
        assert connection.read_by_keys(BY_NAME, ["n4", "n0", ""]) == [(0,), (4,)]
        assert connection.read_by_keys(BY_NAME, []) == []
        assert connection.read_many(FROM_VALUE, [(3, 1), (0, 2), (9, 5)]) == [(3,), (0,), (1,)]
        assert connection.read_many(FROM_VALUE, []) == []
        inserts = [(0, "known", None), (7, "n7", None), (8, "n8", None)]
        assert connection.write_all([(INSERT_NEW, inserts), (INSERT_NEW, []), (RENAME, [("x", 7), ("x", 77)])]) == [
            2,
            0,
            1,
        ]
        assert connection.read_by_keys(BY_NAME, ["x", "known"]) == [(7,)]

    await database.write(job)


async def test_keys_of_text_may_hold_a_nul_character(tmp_path: Path) -> None:
    """Ids of installations are any text; an array of texts for SQLite ends at a NUL."""
    database = SqliteDatabase(tmp_path / "hub.db", allow_ephemeral=True)
    await database.open()
    statement = Statement(
        "test.configurations", "SELECT revision FROM configuration WHERE revision IN (:keys)", (("revision", "text"),)
    )
    add = Statement(
        "test.configuration",
        "INSERT INTO configuration (id, revision, hash) VALUES (:id, :revision, '')",
        (("id", "bigint"), ("revision", "text")),
    )
    rows = list(enumerate(("a", "a\0b", "c")))
    await database.write(lambda connection: connection.insert_many(add, rows))
    found = await database.read(lambda connection: connection.read_by_keys(statement, ["a\0b", "c"]))
    assert sorted(found) == [("a\0b",), ("c",)]
    await database.close()


async def test_transactions_commits_and_moves_of_the_log_are_timed(tmp_path: Path) -> None:
    timed: list[str] = []
    database = SqliteDatabase(
        tmp_path / "numbers.db",
        versions=NUMBERS,
        tuning=replace(QUICK, checkpoint=1),
        allow_ephemeral=True,
        observe=lambda operation, seconds: timed.append(operation),
    )
    await database.open()
    await database.write(lambda connection: None)  # nothing waits for the disk
    await database.write(insert(1))
    async with asyncio.timeout(60):
        while "checkpoint" not in timed:
            await asyncio.sleep(0.01)
    await database.close()
    assert [each for each in timed if each != "checkpoint"] == ["write", "commit", "write"]
