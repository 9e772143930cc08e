"""A database whose file is gone, or whose disk loses what it was given, acknowledges nothing more and says why."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from hub.errors import StoreError
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from tests.hub.store.sqlite.numbers import NUMBERS, insert, numbers

ATTENTIVE = SqliteTuning(look_every=0.02)


def test_a_second_does_not_pass_between_two_looks() -> None:
    assert SqliteTuning().look_every < 1


class Broken:
    """Notes why a database broke, and lets a test wait for it."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._broke = asyncio.Event()

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        self._loop.call_soon_threadsafe(self._broke.set)

    async def wait(self) -> None:
        async with asyncio.timeout(30):
            await self._broke.wait()


@pytest.fixture
async def broken() -> Broken:
    return Broken()


@pytest.fixture
async def database(tmp_path: Path, broken: Broken) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(
        tmp_path / "hub.db", versions=NUMBERS, on_broken=broken, allow_ephemeral=True, tuning=ATTENTIVE
    )
    await database.open()
    yield database
    await database.close()


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)


def rename_the_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))


@pytest.mark.parametrize("what", ["hub.db", "hub.db-wal", "hub.db-shm"])
@pytest.mark.parametrize("change", [delete, replace])
async def test_a_file_that_is_deleted_or_replaced_ends_the_writing(
    database: SqliteDatabase, broken: Broken, tmp_path: Path, what: str, change: Callable[[Path], None]
) -> None:
    await database.write(insert(1))
    change(tmp_path / what)
    await broken.wait()
    expected = f"{tmp_path / what} was deleted or replaced while it was open: nothing is written any more"
    assert broken.reasons == [expected]
    for call in (database.write(insert(2)), numbers(database)):
        with pytest.raises(StoreError, match="deleted or replaced"):
            await call


async def test_no_write_is_acknowledged_that_went_into_a_file_without_a_name(
    database: SqliteDatabase, broken: Broken, tmp_path: Path
) -> None:
    await database.write(insert(1))
    rename_the_directory(tmp_path / "hub.db")
    answers = await asyncio.gather(*(database.write(insert(value)) for value in range(2, 9)), return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in answers)
    assert len(broken.reasons) == 1
    tmp_path.with_name("away").rename(tmp_path)


async def test_the_file_that_took_the_place_of_ours_is_left_alone(tmp_path: Path, broken: Broken) -> None:
    ours, theirs = tmp_path / "hub.db", tmp_path / "their.db"
    database = SqliteDatabase(ours, versions=NUMBERS, on_broken=broken, allow_ephemeral=True, tuning=ATTENTIVE)
    await database.open()
    other = apsw.Connection(str(theirs))
    other.pragma("journal_mode", "WAL")
    other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    other.execute("CREATE TABLE theirs (value)")
    other.close()
    for suffix in ("", "-wal"):
        os.replace(f"{theirs}{suffix}", f"{ours}{suffix}")
    await broken.wait()
    await database.close()
    other = apsw.Connection(str(ours))
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()
