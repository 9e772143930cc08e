"""One SQLite file in WAL mode: one thread that writes with full durability, one thread that reads."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import apsw

from hub.errors import StoreError
from hub.store.connection import Connection
from hub.store.files import make_private
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.migrate import SchemaVersion, migrate, shipped_versions
from hub.store.sqlite.writer import GroupWriter

T = TypeVar("T")

_MINIMUM_VERSION = (3, 51, 3)
"""Of SQLite; older ones can lose commits in WAL mode when two connections are open (the "WAL reset" bug)."""
_STATEMENTS_CACHED = 1024
_STEPS = 100_000
"""Of SQLite's machine, between two looks whether the store is closing: about 2 ms."""
_PAUSE = 0.01
"""Seconds between two tries while another program holds the database."""

_log = logging.getLogger("pushbridge.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTuning:
    """`busy`: seconds that a statement waits for another program to let go of the file. `grace`: seconds that closing
    gives to what waits to be written. `cache`: KiB of pages that each connection keeps. `checkpoint`: pages in the log
    after which a commit moves them into the database.

    `synchronous` and `vfs` are for tests of durability: with less than FULL a power cut loses what was acknowledged.
    """

    busy: float = 10.0
    grace: float = 10.0
    cache: int = 8192  # a larger one only doubles what the system caches anyway
    checkpoint: int = 4000
    synchronous: str = "FULL"
    vfs: str = ""


class SqliteDatabase:
    """`hub.store.connection.Database` on a SQLite file that this process has to itself.

    `observe` is called with (operation, seconds) of each transaction, from the database's threads.
    """

    def __init__(
        self,
        path: Path,
        *,
        versions: Sequence[SchemaVersion] | None = None,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        tuning: SqliteTuning = SqliteTuning(),
    ) -> None:
        self._path = path
        self._versions = versions
        self._tuning = tuning
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-reader")
        self._reader: apsw.Connection | None = None
        self._closing = threading.Event()
        self._abandoning = threading.Event()
        self._writer = GroupWriter(observe=lambda seconds: observe("write", seconds), abandoning=self._abandoning)

    async def open(self) -> None:
        """Make the file where it is missing, bring it to the newest schema, start the threads.

        Raises: StoreError: it cannot be used, with the path and the cause; what was opened is closed again.
        """
        if sqlite_version() < _MINIMUM_VERSION:
            raise StoreError(f"SQLite {apsw.sqlite_lib_version()} is too old: 3.51.3 or newer is needed")
        self._closing.clear()
        self._abandoning.clear()
        try:
            await asyncio.to_thread(self._open)
        except (apsw.Error, OSError, StoreError) as error:
            await self._let_go()
            cause = store_error(error) if isinstance(error, apsw.Error) else error
            raise StoreError(f"cannot open {self._path}: {cause}") from error

    async def close(self) -> None:
        """Interrupt what reads, and finish what waits to be written, as long as `grace` lasts; the rest changed nothing.

        Both raise StoreError in their callers, and so do later calls.
        """
        await self._let_go()
        await asyncio.to_thread(self._reading.shutdown)

    async def write(self, job: Callable[[Connection], T], /) -> T:
        answer: T = await self._writer.run(job)
        return answer

    async def read(self, job: Callable[[Connection], T], /) -> T:
        reader = self._reader
        if reader is None:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read_now, reader, job)

    def _open(self) -> None:
        for file in make_private(self._path):
            _log.warning("readable by others until now: %s", file)
        writer = self._connect(apsw.SQLITE_OPEN_READWRITE, until=self._abandoning)
        try:
            self._prepare(writer)
            self._reader = self._connect(apsw.SQLITE_OPEN_READONLY, until=self._closing)
        except BaseException:
            writer.close()
            raise
        self._writer.start(writer)

    def _connect(self, flags: int, *, until: threading.Event) -> apsw.Connection:
        """`until` is when its statements are interrupted."""
        connection = apsw.Connection(
            str(self._path), flags=flags, vfs=self._tuning.vfs or None, statementcachesize=_STATEMENTS_CACHED
        )
        connection.set_busy_handler(
            lambda tries: tries * _PAUSE < self._tuning.busy and not self._closing.wait(_PAUSE)  # True: try again
        )
        connection.set_progress_handler(until.is_set, _STEPS)
        connection.pragma("cache_size", -self._tuning.cache)
        connection.pragma("temp_store", "MEMORY")
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """For writing, with the newest schema."""
        connection.pragma("secure_delete", "ON")
        if (mode := connection.pragma("journal_mode", "WAL")) != "wal":
            raise StoreError(f"the file system has no shared memory for SQLite's log: the journal mode stays {mode}")
        connection.pragma("synchronous", self._tuning.synchronous)
        connection.pragma("wal_autocheckpoint", self._tuning.checkpoint)
        migrate(connection, shipped_versions() if self._versions is None else self._versions)

    async def _let_go(self) -> None:
        """Of the file; the writer is last, for the last connection moves the log into the database."""
        self._closing.set()
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.get_running_loop().run_in_executor(self._reading, reader.close)  # behind the last read
        await self._writer.stop(grace=self._tuning.grace)

    def _read_now(self, reader: apsw.Connection, job: Callable[[Connection], T]) -> T:
        """One snapshot for all statements of a job."""
        if self._closing.is_set():
            raise StoreError("the store is closed")
        try:
            reader.execute("BEGIN")
            try:
                return job(SqliteConnection(reader))
            finally:
                if reader.in_transaction:
                    reader.execute("COMMIT")
        except apsw.Error as error:
            raise store_error(error) from error


def sqlite_version() -> tuple[int, ...]:
    """Of the library that runs, which need not be the one that apsw was built with."""
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
