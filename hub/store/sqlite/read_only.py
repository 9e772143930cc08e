"""The store of a SQLite file to look at, also while a daemon has it: it changes nothing, not even beside the file."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from hub.errors import StoreError
from hub.store.connection import Connection
from hub.store.people.people import ErasureLog, Noted
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.looking import connect
from hub.store.sqlite.migrate import shipped_versions, version_of
from hub.store.store import SqlStore

T = TypeVar("T")

_BUSY = 2000
"""Milliseconds that a read waits while a daemon moves its log into the database."""


class ReadOnlyStore(SqlStore):
    """The store at `path` as it is now; whatever would write raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._reader = ReadOnlyDatabase(path)
        super().__init__(self._reader)

    async def open(self) -> int:
        """Raises: StoreError: there is none, it is another program's, or its schema is not the one of this program."""
        await self._reader.open()
        await self._outbox.tenure.look()
        await self._silences.read()
        return 0

    async def close(self) -> None:
        await self._reader.close()


class ReadOnlyDatabase:
    """`hub.store.connection.Database` for reads alone."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-reader")
        self._connection: apsw.Connection | None = None

    @property
    def erasures(self) -> ErasureLog:
        """Its file is for who writes."""
        return _NoErasures()

    async def open(self) -> None:
        """Raises: StoreError."""
        try:
            self._connection = await self._in_thread(self._open)
        except (apsw.Error, StoreError) as error:
            cause = store_error(error) if isinstance(error, apsw.Error) else error
            raise StoreError(f"cannot read {self._path}: {cause}") from error

    async def close(self) -> None:
        """May be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._in_thread(connection.close)
        self._thread.shutdown()

    async def read(self, job: Callable[[Connection], T], /) -> T:
        connection = self._connection
        if connection is None:
            raise StoreError("the store is closed")
        return await self._in_thread(lambda: _read(connection, job))

    look = read

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        """Raises: StoreError, always."""
        raise StoreError(f"{self._path} is open for reading only")

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        """Raises: StoreError, always."""
        raise StoreError(f"{self._path} is open for reading only")

    async def go_on_overwriting(self) -> bool:
        """Nothing was deleted here."""
        return True

    async def probe(self) -> None:
        """Raises: StoreError: it cannot be read."""
        await self.read(lambda _: None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> apsw.Connection:
        if not self._path.exists():
            raise StoreError("there is no such file")
        connection = connect(self._path)
        try:
            version, _ = version_of(connection)
            if version != (newest := shipped_versions()[-1].number):
                raise StoreError(f"its schema is version {version}, and this program reads version {newest}")
        except BaseException:
            connection.close()
            raise
        connection.set_busy_timeout(_BUSY)
        return connection


class _NoErasures:
    def note(self, person: str) -> Noted:
        raise StoreError("the store is open for reading only")


def _read(connection: apsw.Connection, job: Callable[[Connection], T]) -> T:
    """One snapshot for all statements of a job."""
    try:
        connection.execute("BEGIN")
        try:
            return job(SqliteConnection(connection))
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
    except apsw.Error as error:
        raise store_error(error) from error
