"""Migrations lead from any version to the newest, in order, each whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hub.errors import StoreError
from hub.store import schema
from hub.store.first_sqlite import SqliteStore
from hub.store.schema import migrate, migrations

STEPS = [
    (1, "CREATE TABLE phone (name TEXT);"),
    (2, "ALTER TABLE phone ADD COLUMN color TEXT; INSERT INTO phone VALUES ('ann', 'red');"),
    (3, "UPDATE phone SET color = 'blue';"),
]


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def test_the_versions_that_ship_are_numbered_from_one_without_gap() -> None:
    assert [version for version, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_new_database_gets_every_version_in_order_and_says_the_newest(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "migrations", lambda: STEPS)
    assert migrate(connection) == 3
    assert version_of(connection) == 3
    assert connection.execute("SELECT * FROM phone").fetchall() == [("ann", "blue")]


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_database_of_an_older_version_gets_only_what_it_lacks(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    for known in (STEPS[:before], STEPS):
        monkeypatch.setattr(schema, "migrations", lambda known=known: known)
        migrate(connection)
    assert version_of(connection) == 3
    assert connection.execute("SELECT * FROM phone").fetchall() == [("ann", "blue")]


def test_a_step_that_fails_leaves_the_database_at_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "INSERT INTO phone (name) VALUES ('half'); INSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(schema, "migrations", lambda: [STEPS[0], (2, broken)])
    first = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(first)
    first.close()
    second = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    assert version_of(second) == 1
    assert second.execute("SELECT * FROM phone").fetchall() == []
    second.close()


async def test_a_file_of_version_1_is_migrated_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN;{migrations()[0][1]} PRAGMA user_version = 1; COMMIT;")
        connection.execute(
            "INSERT INTO dead_letter VALUES (7, 1.5, 'hr', 'e', 'r', 'map', 'map', 'no id', x'7b7d', NULL, '{}', 1, '', '',"
            " NULL)"
        )
    store = SqliteStore(path)
    await store.open()
    (kept,) = (await store.letters(limit=10)).items
    assert (kept.id, kept.at, kept.letter.source, kept.size) == (7, 1.5, "hr", 2)
    assert await store.drop_dead_letters([7, 8], actor="ann") == [7]
    (row,) = (await store.audit(limit=10)).items
    assert (row.entry.actor, row.entry.action, row.entry.target) == ("ann", "dead_letter.drop", "7")
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert version_of(connection) == len(migrations())


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    assert version_of(connection) == len(migrations())
    connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(StoreError, match=r"version 1000, this program knows versions up to \d+"):
        await SqliteStore(path).open()
    assert version_of(connection) == 1000
    connection.execute(f"PRAGMA user_version = {len(migrations())}")
    connection.close()
    again = SqliteStore(path)
    await again.open()
    await again.close()
