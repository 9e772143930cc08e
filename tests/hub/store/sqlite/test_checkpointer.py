"""The log is moved into the database while writes go on, stays short, and loses nothing, whatever happens inside a move."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from hub.store.connection import Connection, Statement
from hub.store.sqlite.checkpointer import LONG
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from tests.hub.store.power_loss import FaultyDisk, Operation, cuts
from tests.hub.store.sqlite.entries import Entries
from tests.hub.store.sqlite.numbers import NUMBERS, insert, numbers

EVERY = 10
_FRAME = 4096 + 24
_PATIENCE = 120.0
_PUT = Statement("test.put", "INSERT INTO number (value, content) VALUES (:value, :content)")


@contextmanager
def opened(
    directory: Path, disk: FaultyDisk, *, moved: Callable[[], None] = lambda: None
) -> Iterator[tuple[SqliteDatabase, Path]]:
    """A database on a disk with faults, not yet opened, and its log; `moved` is called after a move."""
    path = directory / "hub.db"
    with disk.mounted():
        database = SqliteDatabase(
            path,
            versions=NUMBERS,
            allow_ephemeral=True,
            tuning=SqliteTuning(vfs=disk.vfs, checkpoint=EVERY, grace=_PATIENCE),
            observe=lambda operation, seconds: moved() if operation == "checkpoint" else None,
        )
        yield database, path.with_name("hub.db-wal")


def put(value: int) -> Callable[[Connection], object]:
    """A row of two pages."""
    return lambda connection: connection.write(_PUT, value=value, content=bytes([value % 256]) * 5000)


class Gate:
    """Holds the first change of the database's file that comes after `close`, as a move of the log makes it."""

    def __init__(self, name: str, skipped: int = 0) -> None:
        self._name = name
        self._left = skipped
        self._is_armed = False
        self._reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, name: str, suffix: str) -> None:
        if not self._is_armed or suffix or name != self._name:
            return
        self._left -= 1
        if self._left < 0:
            self._is_armed = False
            self._reached.set()
            self._opened.wait(_PATIENCE)

    def close(self) -> None:
        self._is_armed = True

    def open(self) -> None:
        self._is_armed = False
        self._opened.set()

    @property
    def is_reached(self) -> bool:
        return self._reached.is_set()


async def until(is_so: Callable[[], bool], do: Callable[[], Awaitable[object]] | None = None) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not is_so():
            if do is not None:
                await do()
            await asyncio.sleep(0.001)


async def test_writes_are_acknowledged_while_the_log_is_moved(tmp_path: Path) -> None:
    gate = Gate("write", skipped=1)
    with opened(tmp_path, FaultyDisk(before=gate)) as (database, _):
        await database.open()
        gate.close()
        values = iter(range(1000))
        await until(lambda: gate.is_reached, lambda: database.write(put(next(values))))
        try:
            async with asyncio.timeout(_PATIENCE / 2):
                for value in range(1000, 1020):
                    await database.write(insert(value))
                assert set(range(1000, 1020)) <= set(await numbers(database))
        finally:
            gate.open()
        await database.close()


@pytest.mark.parametrize("name", ["write", "sync"])
@pytest.mark.parametrize("seed", range(12))
async def test_a_cut_of_the_power_inside_a_move_loses_nothing_that_was_acknowledged_since(
    tmp_path: Path, name: str, seed: int
) -> None:
    gate = Gate(name, skipped=0 if name == "sync" else seed)
    disk = FaultyDisk(seed, before=gate)
    acknowledged: list[int] = []

    with opened(tmp_path, disk) as (database, _):
        await database.open()
        gate.close()

        async def write() -> None:
            value = len(acknowledged)
            await database.write(put(value))
            acknowledged.append(value)

        await until(lambda: gate.is_reached, write)
        for _ in range(5):
            await write()
        disk.cut()
        gate.open()
        await database.close()
    disk.restore(tmp_path / "after")
    after = SqliteDatabase(tmp_path / "after" / "hub.db", versions=NUMBERS, allow_ephemeral=True)
    await after.open()
    assert await numbers(after) == acknowledged
    await after.close()


@pytest.mark.slow
def test_no_cut_among_the_changes_of_the_database_itself_loses_what_was_acknowledged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="pushbridge.store")
    assert cuts(Entries, tmp_path, range(1000, 1080), operations=80, cut_in="") == []


async def test_the_log_stays_short_under_writes_without_a_pause_though_moves_are_slow(tmp_path: Path) -> None:
    pause = threading.Event()

    def before(name: str, suffix: str) -> None:
        if not suffix and threading.current_thread().name == "pushbridge-store-checkpoint":
            pause.wait(0.002)

    longest = 0
    with opened(tmp_path, FaultyDisk(before=before)) as (database, log):
        await database.open()
        values = iter(range(1200))

        async def write() -> None:
            nonlocal longest
            for value in values:
                await database.write(put(value))
                longest = max(longest, log.stat().st_size)

        await asyncio.gather(*(write() for _ in range(4)))
        await database.close()
    assert longest <= 3 * LONG * EVERY * _FRAME, "of 2,400 pages that were written"


async def test_a_log_that_a_reader_kept_long_is_moved_and_its_file_cut_once_the_reader_is_done(tmp_path: Path) -> None:
    with opened(tmp_path, FaultyDisk()) as (database, log):
        await database.open()
        reader = apsw.Connection(str(tmp_path / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM number").fetchall() == [(0,)]
        for value in range(300):
            await database.write(put(value))
        assert log.stat().st_size > 500 * _FRAME
        assert reader.execute("SELECT count(*) FROM number").fetchall() == [(0,)]
        reader.close()
        values = iter(range(1000, 100_000))
        await until(
            lambda: log.stat().st_size <= 2 * LONG * EVERY * _FRAME, lambda: database.write(insert(next(values)))
        )
        await database.close()


async def test_a_disk_that_is_full_for_the_database_alone_refuses_no_write_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_full = threading.Event()
    refused: list[Operation] = []
    moved = threading.Event()

    def fault(operation: Operation) -> int | None:
        if operation.suffix or operation.name != "write" or not is_full.is_set():
            return None
        refused.append(operation)
        return int(apsw.SQLITE_FULL)

    with opened(tmp_path, FaultyDisk(fault=fault), moved=moved.set) as (database, _):
        await database.open()
        is_full.set()
        values = iter(range(100_000))
        await until(lambda: len(refused) > 2, lambda: database.write(insert(next(values))))
        assert not moved.is_set()
        is_full.clear()
        await until(moved.is_set, lambda: database.write(insert(next(values))))
        warnings = [record.message for record in caplog.records if "cannot be moved" in record.message]
        assert warnings == ["the log of the database grows, it cannot be moved into it: the disk is full"]
        assert await numbers(database) == list(range(next(values)))
        await database.close()


async def test_closing_waits_for_a_move_and_leaves_one_file(tmp_path: Path) -> None:
    gate = Gate("write", skipped=1)
    with opened(tmp_path, FaultyDisk(before=gate)) as (database, log):
        await database.open()
        gate.close()
        values = iter(range(1000))
        await until(lambda: gate.is_reached, lambda: database.write(put(next(values))))
        closing = asyncio.ensure_future(database.close())
        done, _ = await asyncio.wait([closing], timeout=0.2)
        assert not done
        gate.open()
        await closing
        assert not log.exists()
    after = SqliteDatabase(tmp_path / "hub.db", versions=NUMBERS, allow_ephemeral=True)
    await after.open()
    assert await numbers(after) == list(range(next(values)))
    await after.close()
