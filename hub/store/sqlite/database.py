"""One SQLite file in WAL mode: one thread that writes with full durability, one thread that reads."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import apsw

from hub.errors import StoreError, StoreLockedError
from hub.store.connection import Connection, Statement
from hub.store.files import make_private
from hub.store.sqlite.backup import copy
from hub.store.sqlite.checkpointer import LONG, Checkpointer
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.erasures import Erasures
from hub.store.sqlite.errors import cause_of, store_error
from hub.store.sqlite.guard import StoreGuard
from hub.store.sqlite.lock import FileLock
from hub.store.sqlite.looking import damage_in, look_at
from hub.store.sqlite.migrate import migrate, shipped_versions, version_of
from hub.store.sqlite.overwriting import Overwriting
from hub.store.sqlite.volume import LOST_WITH, VOLUME_WARNINGS, refusal, volume_of
from hub.store.sqlite.writer import GroupWriter
from hub.store.versions import SchemaVersion

T = TypeVar("T")

MINIMUM_VERSION = (3, 51, 3)
"""Of SQLite; older ones can lose commits in WAL mode when two connections are open (the "WAL reset" bug)."""
_STATEMENTS_CACHED = 1024
_STEPS = 100_000
"""Of SQLite's machine, between two looks whether the store is closing: about 2 ms."""
_STEPS_A_CALL, _SECONDS_A_CALL = 20, 0.1
"""Of overwriting, at most: 80 MB, and a tenth of the second until the next call, as no write is begun within a step."""
_PAUSE = 0.01
"""Seconds between two tries while another program holds the database."""

_TOUCH = Statement("schema.touch", "UPDATE schema SET version = version")

_log = logging.getLogger("pushbridge.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTuning:
    """`busy`: seconds that a statement waits for another program to let go of the file. `grace`: seconds that closing
    gives to what waits to be written. `look_every`: seconds between two looks whether the files are still there. `cache`:
    KiB of pages that each connection keeps. `checkpoint`: pages in the log after which they are moved into the database.
    `check`: seconds that opening may look for damaged pages. `copied`: pages that a backup copies between two looks
    whether the store is closing.

    `synchronous` and `vfs` are for tests of durability: with less than FULL a power cut loses what was acknowledged.
    """

    busy: float = 10.0
    grace: float = 10.0
    look_every: float = 0.5
    cache: int = 8192  # a larger one only doubles what the system caches anyway
    checkpoint: int = 4000
    check: float = 0.5
    copied: int = 256
    synchronous: str = "FULL"
    vfs: str = ""


class SqliteDatabase:
    """`hub.store.connection.Database` on a SQLite file that this process has to itself.

    `observe` is called with (operation, seconds) as `GroupWriter` says, `on_broken` once, with the reason, when only a new
    process can go on: the disk lost what it was given, or the file was deleted or replaced. Nothing is acknowledged after
    that. Both are called from the database's threads. `allow_ephemeral` and
    `must_last` say on which file systems it may lie (`refusal`).
    """

    def __init__(
        self,
        path: Path,
        *,
        versions: Sequence[SchemaVersion] | None = None,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
        on_broken: Callable[[str], None] = lambda reason: None,
        allow_ephemeral: bool = False,
        must_last: bool = False,
        tuning: SqliteTuning = SqliteTuning(),
    ) -> None:
        self._path = path.resolve()  # SQLite keeps its log beside the file, not beside a symbolic link
        self._versions = versions
        self._allow_ephemeral = allow_ephemeral
        self._must_last = must_last
        self._tuning = tuning
        self._closing = threading.Event()
        self._abandoning = threading.Event()
        self._guard = StoreGuard(self._path, on_broken=on_broken, look_every=tuning.look_every)
        self._checkpointer = Checkpointer(self._guard, observe=observe, every=tuning.checkpoint)
        self._writer = GroupWriter(
            self._guard,
            overwriting=Overwriting(self._path, vfs=tuning.vfs),
            observe=observe,
            abandoning=self._abandoning,
            checkpointer=self._checkpointer,
        )
        self.erasures = Erasures(self._path)
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-reader")
        self._reader: apsw.Connection | None = None
        self._lock: FileLock | None = None

    async def open(self) -> None:
        """Make the file where it is missing, bring it to the newest schema, start the threads.

        Raises: StoreError: it cannot be used, with the path and the cause; what was opened is closed again.
        """
        self._closing.clear()
        self._abandoning.clear()
        try:
            await asyncio.to_thread(self._open)
        except StoreLockedError:
            raise
        except (apsw.Error, OSError, StoreError) as error:
            await self._let_go()
            raise StoreError(f"cannot open {self._path}: {cause_of(error)}") from error

    async def close(self) -> None:
        """Interrupt what reads, and finish what waits to be written, as long as `grace` lasts; the rest changed nothing.

        Both raise StoreError in their callers, and so do later calls.
        """
        await self._let_go()
        await asyncio.to_thread(self._reading.shutdown)

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        answer: T = await self._writer.run(job, then, flow=flow, rows=rows)
        return answer

    async def read(self, job: Callable[[Connection], T], /) -> T:
        reader = self._reader
        if reader is None:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read_now, reader, job)

    look = read

    async def probe(self) -> None:
        await self.write(lambda connection: connection.write(_TOUCH))

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        return await self._writer.overwrite_deleted(seconds=seconds)

    async def go_on_overwriting(self) -> bool:
        return await self._writer.go_on_overwriting(steps=_STEPS_A_CALL, seconds=_SECONDS_A_CALL)

    async def back_up(self, target: Path) -> int:
        """Copy the state of now to a new file while writers go on; its size in bytes. Raises: StoreError."""
        if self._reader is None:
            raise StoreError("the store is closed")
        return await asyncio.to_thread(
            copy,
            self._path,
            target,
            vfs=self._tuning.vfs,
            is_closing=self._closing.is_set,
            step=self._tuning.copied,
        )

    def _open(self) -> None:
        if sqlite_version() < MINIMUM_VERSION:
            raise StoreError(f"SQLite {apsw.sqlite_lib_version()} is too old: 3.51.3 or newer is needed")
        self._look_at_volume()
        if self._path.is_file():  # before anything is changed: the file may be another program's
            self._lock = FileLock(self._path)
            with suppress(apsw.ReadOnlyError):  # a journal of a dead process, which only a writer can undo
                look_at(self._path, version_of, vfs=self._tuning.vfs)
        for file in make_private(self._path):
            _log.warning("readable by others until now: %s", file)
        if self._lock is None:
            self._lock = FileLock(self._path)
        if (names := self._path.stat().st_nlink) > 1:
            raise StoreError(
                f"the file has {names} names, and SQLite's log is beside one of them: remove the other hard links"
            )
        writer = self._connect(apsw.SQLITE_OPEN_READWRITE, until=self._abandoning)
        try:
            self._prepare(writer)
            self._reader = self._connect(apsw.SQLITE_OPEN_READONLY, until=self._closing)
            moving = self._connect_for_moving()
        except BaseException:
            writer.close()
            raise
        self._guard.start()
        self._checkpointer.start(moving)
        self._writer.start(writer, on_busy=self._waits_on)

    def _look_at_volume(self) -> None:
        volume = volume_of(self._path)
        if refused := refusal(volume, allow_ephemeral=self._allow_ephemeral, must_last=self._must_last):
            raise StoreError(refused)
        may_be_lost = self._allow_ephemeral and volume.kind in LOST_WITH
        if not may_be_lost and (warning := VOLUME_WARNINGS.get(volume.kind)) is not None:
            _log.warning("%s is on %s (%s): %s", self._path, volume.mount, volume.file_system, warning)

    def _connect(self, flags: int, *, until: threading.Event) -> apsw.Connection:
        """`until` is when its statements are interrupted."""
        connection = apsw.Connection(
            str(self._path), flags=flags, vfs=self._tuning.vfs or None, statementcachesize=_STATEMENTS_CACHED
        )
        connection.set_busy_handler(self._waits_on)
        connection.set_progress_handler(until.is_set, _STEPS)
        connection.pragma("cache_size", -self._tuning.cache)
        connection.pragma("temp_store", "MEMORY")
        return connection

    def _connect_for_moving(self) -> apsw.Connection:
        """What moves the log syncs as what writes it: a move that is not on the disk would be lost with the log."""
        connection = self._connect(apsw.SQLITE_OPEN_READWRITE, until=self._abandoning)
        try:
            connection.pragma("synchronous", self._tuning.synchronous)
            version_of(connection)  # only a connection that has read knows that there is a log
        except BaseException:
            connection.close()
            raise
        return connection

    def _waits_on(self, tries: int) -> bool:
        """Whether a statement tries once more while another program holds the database."""
        return tries * _PAUSE < self._tuning.busy and not self._closing.wait(_PAUSE)

    def _prepare(self, connection: apsw.Connection) -> None:
        """For writing, with the newest schema."""
        version_of(connection)
        connection.pragma("secure_delete", "ON")
        if (mode := connection.pragma("journal_mode", "WAL")) != "wal":
            raise StoreError(f"the file system has no shared memory for SQLite's log: the journal mode stays {mode}")
        connection.pragma("synchronous", self._tuning.synchronous)
        connection.pragma("journal_size_limit", LONG * self._tuning.checkpoint * connection.pragma("page_size"))
        self._look_for_damage(connection)
        migrate(connection, shipped_versions() if self._versions is None else self._versions)

    def _look_for_damage(self, connection: apsw.Connection) -> None:
        """Read pages for as long as an opening may take; what lies behind is found when it is used.

        Raises: StoreError: a page is damaged.
        """
        try:
            found = damage_in(connection, seconds=self._tuning.check)
        except apsw.InterruptError:
            return
        finally:
            connection.set_progress_handler(self._abandoning.is_set, _STEPS)
        if found:
            raise StoreError(f"the database is damaged: {found}: restore it from a backup")

    async def _let_go(self) -> None:
        """Of the file: the writer is the last of SQLite's, for it moves the log into the database; then the lock."""
        self._closing.set()
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.get_running_loop().run_in_executor(self._reading, reader.close)  # behind the last read
        await asyncio.to_thread(self._guard.stop)
        await self._writer.stop(grace=self._tuning.grace)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _read_now(self, reader: apsw.Connection, job: Callable[[Connection], T]) -> T:
        """One snapshot for all statements of a job."""
        if self._closing.is_set():
            raise StoreError("the store is closed")
        if self._guard.broken is not None:
            raise StoreError(self._guard.broken)
        try:
            reader.execute("BEGIN")
            try:
                return job(SqliteConnection(reader))
            finally:
                if reader.in_transaction:
                    reader.execute("COMMIT")
        except apsw.Error as error:
            self._guard.note(error)
            raise store_error(error) from error


def sqlite_version() -> tuple[int, ...]:
    """Of the library that runs, which need not be the one that apsw was built with."""
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
