"""A copy holds what was acknowledged before it began, is one state, and comes back without those who were erased since."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hub.errors import InvalidRequestError, StoreError, StoreLockedError
from hub.store.connection import Connection, Statement
from hub.store.sqlite import backup
from hub.store.sqlite.backup import restore
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from hub.store.sqlite.erasures import Erasures
from tests.hub.store.sqlite.numbers import NUMBERS, insert, numbers

PAIR = Statement("test.pair", "INSERT INTO number (value, name, content) VALUES (:value, :name, :content)")


async def opened(path: Path, tuning: SqliteTuning = SqliteTuning()) -> SqliteDatabase:
    database = SqliteDatabase(path, versions=NUMBERS, tuning=tuning, allow_ephemeral=True)
    await database.open()
    return database


async def held(path: Path) -> list[int]:
    database = await opened(path)
    try:
        return await numbers(database)
    finally:
        await database.close()


async def test_a_copy_under_load_holds_what_was_acknowledged_before_it_began(tmp_path: Path) -> None:
    database = await opened(tmp_path / "hub.db", SqliteTuning(copied=1))
    acknowledged: list[int] = []
    enough = asyncio.Event()

    def pair(value: int) -> Callable[[Connection], None]:
        def job(connection: Connection) -> None:
            for sign in (1, -1):
                connection.write(PAIR, value=sign * value, name="x" * 500, content=None)

        return job

    async def write_on() -> None:
        for value in range(1, 100_000):
            await database.write(pair(value))
            acknowledged.append(value)
            if len(acknowledged) == 600:
                enough.set()

    writing = asyncio.ensure_future(write_on())
    await enough.wait()
    before = after = list(acknowledged)
    while len(after) == len(before):  # on a busy machine a copy may be done before the next write is
        (tmp_path / "copy.db").unlink(missing_ok=True)
        before = list(acknowledged)
        assert await database.back_up(tmp_path / "copy.db") == (tmp_path / "copy.db").stat().st_size
        after = list(acknowledged)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await database.close()
    copied = set(await held(tmp_path / "copy.db"))
    assert set(before) <= copied
    assert copied == {-value for value in copied}, "both of a transaction or none"
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


async def test_a_copy_replaces_no_file_and_leaves_none_when_it_fails(tmp_path: Path) -> None:
    database = await opened(tmp_path / "hub.db")
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(InvalidRequestError, match=r"there is no directory .*/nowhere on the daemon's machine"):
        await database.back_up(tmp_path / "nowhere" / "copy.db")
    with pytest.raises(InvalidRequestError, match=r"copy\.db is there already"):
        await database.back_up(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
    with pytest.raises(StoreError, match=r"cannot write .*: File name too long"):
        await database.back_up(tmp_path / ("x" * 253))
    await database.close()
    with pytest.raises(StoreError, match="closed"):
        await database.back_up(tmp_path / "other.db")
    assert not list(tmp_path.glob("*.part"))


async def backed_up(path: Path, values: range) -> Path:
    database = await opened(path)
    for value in values:
        await database.write(insert(value))
    target = path.with_name("copy.db")
    await database.back_up(target)
    await database.write(insert(99))
    await database.close()
    return target


async def test_a_restored_copy_is_the_store_and_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    copied = await backed_up(path, range(3))
    done = restore(copied, path)
    assert await held(path) == [0, 1, 2]
    assert done.before == tmp_path / "hub.db.before-restore-1"
    assert await held(done.before) == [0, 1, 2, 99]
    assert copied.exists()
    assert restore(copied, tmp_path / "new" / "hub.db").before is None
    assert await held(tmp_path / "new" / "hub.db") == [0, 1, 2]


async def test_a_store_that_is_open_or_a_copy_that_is_none_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    copied = await backed_up(path, range(3))
    database = await opened(path)
    with pytest.raises(StoreLockedError):
        restore(copied, path)
    await database.close()
    for content in (b"", b"no database" * 500, copied.read_bytes()[:5000]):
        bad = tmp_path / "bad.db"
        bad.write_bytes(content)
        with pytest.raises(StoreError):
            restore(bad, path)
    assert await held(path) == [0, 1, 2, 99]
    assert not list(tmp_path.glob("*restoring*"))


PEOPLE = Statement(
    "test.people",
    PAIR.text,
    columns=(("value", "bigint"), ("name", "text"), ("content", "bytea")),
)
NAMES = Statement("test.names", "SELECT name FROM number WHERE name IS NOT NULL")
FORGET = Statement("test.forget", "DELETE FROM number WHERE name = :name", columns=(("name", "text"),))


def forget(connection: Connection, erasures: Erasures) -> int:
    gone = [row for row in connection.read(NAMES) if erasures.later_than(set()).digest_of(row[0])]
    connection.update_many(FORGET, gone)
    return len(gone)


async def test_who_was_erased_since_a_copy_is_erased_in_it_again(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    database = await opened(path)
    people = [(value, name, b"secret") for value, name in enumerate(["ann", "bob", "eve"])]
    await database.write(lambda connection: connection.insert_many(PEOPLE, people))
    await database.back_up(tmp_path / "copy.db")
    await database.close()
    for person in ("ann", "eve", "zoe"):
        Erasures(path).note(person)
    assert restore(tmp_path / "copy.db", path, erase=[forget]).erased == 2
    assert await held(path) == [1]
    assert b"ann" not in path.read_bytes(), "secure_delete"


def test_the_file_of_erasures_holds_no_id_and_survives_a_line_cut_short(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path / "hub.db")
    assert not erasures.later_than(set()).marks
    first = erasures.note("ann")
    erasures.note("bob")
    file = tmp_path / "hub.db.erased"
    assert b"ann" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(file.read_bytes()[:-5])
    again = Erasures(tmp_path / "hub.db")
    assert [bool(again.later_than(set()).digest_of(person)) for person in ("ann", "bob", "eve")] == [True, False, False]
    again.note("bob")
    later = again.later_than({first.mark})
    assert [bool(later.digest_of(person)) for person in ("ann", "bob", "eve")] == [False, True, False]
    assert again.note("ann").digest == first.digest


def test_a_file_of_erasures_that_was_cut_short_in_being_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "hub.db.erased").write_bytes(b"0123")
    Erasures(tmp_path / "hub.db").note("ann")
    assert Erasures(tmp_path / "hub.db").later_than(set()).digest_of("ann")


def test_a_copy_is_one_file(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    connection.pragma("journal_mode", "WAL")
    connection.execute("CREATE TABLE number (value)")
    backup.copy(tmp_path / "hub.db", tmp_path / "copy.db")
    connection.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "hub.db"]
