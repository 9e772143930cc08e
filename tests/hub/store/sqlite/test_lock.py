"""A database belongs to one process, by whatever name that process opens the file."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hub.errors import StoreError, StoreLockedError
from hub.store.sqlite.database import SqliteDatabase
from hub.store.sqlite.lock import FileLock, is_locked
from tests.hub.store.sqlite.numbers import NUMBERS, insert, numbers

ROOT = Path(__file__).parents[4]

_OTHER_PROCESS = """
import sys
from pathlib import Path
from hub.errors import StoreLockedError
from hub.store.sqlite.lock import FileLock, is_locked

print(is_locked(Path(sys.argv[1])))
try:
    FileLock(Path(sys.argv[1]))
except StoreLockedError as error:
    print(error)
else:
    print("locked")
"""


def other_process(path: Path) -> list[str]:
    """Whether a process of its own sees a lock, and what becomes of its try to take it."""
    command = [sys.executable, "-c", _OTHER_PROCESS, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    yield database
    await database.close()


def by_symbolic_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path)
    return link


def by_hard_link(path: Path) -> Path:
    link = path.with_name("link.db")
    os.link(path, link)
    return link


def by_removing_what_a_lock_file_could_be(path: Path) -> Path:
    for other in path.parent.glob("*lock*"):
        other.unlink()
    return path


@pytest.mark.parametrize("way", [by_symbolic_link, by_hard_link, by_removing_what_a_lock_file_could_be])
async def test_a_second_process_is_refused(
    database: SqliteDatabase, tmp_path: Path, way: Callable[[Path], Path]
) -> None:
    path = way(tmp_path / "hub.db")
    assert other_process(path) == ["True", f"another process uses {path}: a SQLite store belongs to one process"]
    with pytest.raises(StoreLockedError, match="another process uses"):
        await SqliteDatabase(path, versions=NUMBERS, allow_ephemeral=True).open()


async def test_a_refused_store_of_the_same_process_leaves_the_locks_of_sqlite(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    await database.write(insert(1))
    before = posix_locks(tmp_path / "hub.db")
    assert before
    with pytest.raises(StoreLockedError):
        await SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, allow_ephemeral=True).open()
    assert is_locked(tmp_path / "hub.db")
    assert posix_locks(tmp_path / "hub.db") == before


def posix_locks(path: Path) -> list[str]:
    """Those of this process on the file, as Linux lists them."""
    ours = f" {os.getpid()} "
    lines = Path("/proc/locks").read_text().splitlines()
    return sorted(line.split(": ")[1] for line in lines if ours in line and f":{path.stat().st_ino} " in line)


async def test_other_programs_may_read_and_write_beside_the_lock(database: SqliteDatabase, tmp_path: Path) -> None:
    program = "import apsw, sys; apsw.Connection(sys.argv[1]).execute('INSERT INTO number (value) VALUES (7)')"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "hub.db")], check=True)
    assert await numbers(database) == [7]


async def test_a_closed_database_is_free(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    database = SqliteDatabase(path, versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    await database.close()
    assert other_process(path) == ["False", "locked"]
    FileLock(path).close()


async def test_a_file_of_two_names_is_refused_for_its_log_is_beside_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "hub.db").touch()
    path = by_hard_link(tmp_path / "hub.db")
    with pytest.raises(StoreError, match=r"the file has 2 names.*remove the other hard links"):
        await SqliteDatabase(path, versions=NUMBERS, allow_ephemeral=True).open()
    (tmp_path / "hub.db").unlink()
    database = SqliteDatabase(path, versions=NUMBERS, allow_ephemeral=True)
    await database.open()
    await database.close()
