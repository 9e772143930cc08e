"""A database that cannot be used is refused with its name and the cause, is left as it is, and opens once mended."""

import errno
import re
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hub.errors import StoreError
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from hub.store.sqlite.errors import cause_of
from hub.store.sqlite.migrate import APPLICATION_ID, shipped_versions
from hub.store.versions import SchemaVersion
from tests.hub.store.power_loss import Fault, FaultyDisk, Operation
from tests.hub.store.sqlite.numbers import NUMBERS, insert, numbers

SECOND = SchemaVersion(number=2, sql="CREATE TABLE name (value TEXT) STRICT;", readable_from=1)
IMPATIENT = SqliteTuning(busy=0.02)


def database(
    path: Path, *, versions: list[SchemaVersion] = NUMBERS, tuning: SqliteTuning = IMPATIENT
) -> SqliteDatabase:
    return SqliteDatabase(path, versions=versions, tuning=tuning, allow_ephemeral=True)


async def filled(path: Path, *, versions: list[SchemaVersion] = NUMBERS, count: int = 3) -> None:
    """A closed database with numbers."""
    made = database(path, versions=versions)
    await made.open()
    for value in range(count):
        await made.write(insert(value))
    await made.close()


def alter(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()


async def refused(path: Path, *, versions: list[SchemaVersion] = NUMBERS) -> str:
    """Why it is not opened; the file is as it was."""
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        await database(path, versions=versions).open()
    assert path.read_bytes() == before
    prefix, _, why = str(caught.value).partition(": ")
    assert prefix == f"cannot open {path}"
    return why


async def holds(path: Path, *, versions: list[SchemaVersion] = NUMBERS) -> list[int]:
    opened = database(path, versions=versions)
    await opened.open()
    try:
        return await numbers(opened)
    finally:
        await opened.close()


async def test_a_newer_database_is_refused_unless_it_says_that_this_version_can_work_with_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path, versions=[*NUMBERS, SECOND])
    assert await holds(path) == [0, 1, 2]
    alter(path, "UPDATE schema SET version = 3, readable_from = 2")
    assert await refused(path) == (
        "the database has schema version 3, which needs a program that knows version 2; this one knows versions up to 1:"
        " run the newer pushbridge"
    )
    assert await holds(path, versions=[*NUMBERS, SECOND]) == [0, 1, 2]


async def test_an_older_database_is_brought_to_the_newest_version_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    broken = SchemaVersion(number=2, sql=f"{SECOND.sql} INSERT INTO nowhere VALUES (1);", readable_from=1)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        await database(path, versions=[*NUMBERS, broken]).open()
    assert await holds(path) == [0, 1, 2]
    assert await holds(path, versions=[*NUMBERS, SECOND]) == [0, 1, 2]


async def test_a_database_of_0_1_0_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    tables = ("hub", "notification", "page", "registration", "seen_bucket", "seen_7", "tag_block", "dead_letter")
    alter(path, *(f"CREATE TABLE {table} (id)" for table in tables), "PRAGMA user_version = 4")
    assert await refused(path) == (
        "the database was written by pushbridge 0.1.0, whose data is not taken over: move the file away, and a new one is"
        " made"
    )


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["CREATE TABLE theirs (value)"], "the database belongs to another program: name another file"),
        (["PRAGMA application_id = 7"], "the database belongs to another program: name another file"),
        (
            [f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE schema (version, readable_from)"],
            "no schema version",
        ),
        (
            [
                f"PRAGMA application_id = {APPLICATION_ID}",
                "CREATE TABLE schema (version, readable_from)",
                "INSERT INTO schema VALUES (0, 0)",
            ],
            "schema version 0, which there is not: restore it from a backup",
        ),
    ],
)
async def test_a_database_of_another_program_is_refused(tmp_path: Path, statements: list[str], why: str) -> None:
    path = tmp_path / "hub.db"
    alter(path, *statements)
    path.chmod(0o644)
    assert why in await refused(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644, "nor is its mode changed"
    assert [file.name for file in tmp_path.iterdir()] == ["hub.db"]


def test_who_may_not_open_the_file_is_told_who_may() -> None:
    refused = PermissionError(errno.EACCES, "Permission denied", "/data/hub.db")
    assert cause_of(refused) == "Permission denied: the user that runs the daemon has to own /data/hub.db"


def test_a_file_beside_a_configuration_that_is_mounted_read_only_is_told_the_key() -> None:
    refused = OSError(errno.EROFS, "Read-only file system", "/etc/pushbridge/pushbridge.db")
    assert "bridge.store.url has to name a place that can be written" in cause_of(refused)


async def test_a_database_that_lacks_a_part_of_its_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    alter(path, "DROP TABLE number")
    assert await refused(path) == "the database lacks number of its schema: restore it from a backup"


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_text("not a database, whatever its name says, and long enough to be looked at " * 20)
    assert await refused(path) == "this is no SQLite database: file is not a database"


async def test_a_damaged_page_is_found_when_the_database_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    alter(path, f"INSERT INTO number (value, name) VALUES (99, '{'x' * 50_000}')", "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes([0xFF]) * 4096)
    with pytest.raises(
        StoreError, match=r"the database is damaged: Tree \d+ page \d+[^\n]*: restore it from a backup$"
    ):
        await database(path).open()


async def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    alter(path, f"INSERT INTO number (value, name) VALUES (99, '{'x' * 50_000}')", "PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:5000])
    assert "the database is damaged" in await refused(path)


@pytest.mark.slow
async def test_looking_for_damage_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    many = (
        "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i, '', NULL FROM n"
    )
    alter(path, f"INSERT INTO number {many}")
    opened = database(path, tuning=SqliteTuning(check=0.0))
    await opened.open()
    assert len(await numbers(opened)) > 190_000
    await opened.close()


async def test_a_database_that_another_program_is_writing_to_is_named_and_opens_later(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await filled(path)
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    older = [*NUMBERS, SECOND]
    with pytest.raises(StoreError, match="another program holds the database"):
        await database(path, versions=older).open()
    other.execute("ROLLBACK")
    other.close()
    assert await holds(path, versions=older) == [0, 1, 2]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (apsw.SQLITE_FULL, "the disk is full"),
        (apsw.SQLITE_READONLY, "the database is read-only"),
        (apsw.SQLITE_IOERR_WRITE, "the disk failed: SQLITE_IOERR_WRITE"),
        (apsw.SQLITE_IOERR_FSYNC, "the disk failed: SQLITE_IOERR_FSYNC"),
    ],
)
@pytest.mark.parametrize("number", [0, 2, 8])
async def test_a_disk_that_fails_while_the_database_is_made_is_named_and_the_database_is_made_later(
    tmp_path: Path, code: int, why: str, number: int
) -> None:
    path = tmp_path / "hub.db"
    named = rf"cannot open {re.escape(str(path))}: {why}"
    with FaultyDisk(fault=failing(code, number)).mounted() as disk, pytest.raises(StoreError, match=named):
        await database(path, tuning=SqliteTuning(vfs=disk.vfs)).open()
    assert await holds(path) == []


def failing(code: int, number: int) -> Fault:
    """From an operation on, each that can fail so."""
    name = "sync" if code == apsw.SQLITE_IOERR_FSYNC else "write"

    def fault(operation: Operation) -> int | None:
        return code if operation.name == name and operation.number >= number else None

    return fault


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.parent.rmdir() or path.parent.touch()])
async def test_a_path_that_cannot_be_a_file_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "data" / "hub.db"
    path.parent.mkdir()
    make(path)
    with pytest.raises(StoreError, match=rf"cannot open {re.escape(str(path))}: .*"):
        await database(path).open()


def test_all_tables_that_ship_are_strict() -> None:
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    tables = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert len(tables) > 10
    assert [name for name, strict in tables if not strict and not str(name).startswith("sqlite_")] == []
