"""One PostgreSQL database: a session that writes, one that reads, one for the ownership, each in a thread of its own."""

import asyncio
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import psycopg

from hub.errors import StoreError, StoreLockedError
from hub.store.connection import Connection, Row, Statement
from hub.store.groups import JobGroups
from hub.store.people.people import Noted
from hub.store.postgres.address import PostgresAddress
from hub.store.postgres.connection import PostgresConnection
from hub.store.postgres.errors import store_error
from hub.store.postgres.looking import look_for_rights
from hub.store.postgres.migrate import migrate
from hub.store.postgres.schema import shipped_versions
from hub.store.postgres.session import OwnershipSession, again, look_for_pooler, roll_back, use_database
from hub.store.postgres.writer import PostgresCommitter
from hub.store.versions import SchemaVersion

T = TypeVar("T")

_GRACE = 10.0
"""Seconds that closing gives to what waits to be written."""
_READER_IDLE = 30.0
"""Seconds in which a transaction that reads may stand still: nothing waits for it."""
_TOUCH = Statement("schema.probe", "UPDATE process SET share = share WHERE id = (SELECT min(id) FROM process)")


class PostgresErasures:
    """No file of erasures: the database is backed up and restored by its own tools, which know of none.

    The digest of an erasure cannot be told from that of another process for the same person, for its key is gone with the
    process.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def note(self, person: str) -> Noted:
        digest = hashlib.blake2b(person.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16)
        return Noted(digest.hexdigest(), secrets.token_bytes(8))


class PostgresDatabase:
    """`hub.store.connection.Database` on a PostgreSQL database that other processes may use too.

    `observe` is as `PostgresCommitter` says, and called from the database's thread.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        versions: Sequence[SchemaVersion] | None = None,
        observe: Callable[[str, float], None] = lambda operation, seconds: None,
    ) -> None:
        self._address = address
        self._versions = versions
        self._observe = observe
        self._abandoning = threading.Event()
        self._groups = JobGroups()
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pushbridge-store-reader")
        self._reader: psycopg.Connection[Any] | None = None
        self._is_open = False
        self.erasures = PostgresErasures()
        self.ownership = OwnershipSession(address)

    async def open(self) -> None:
        """Connect, bring the database to the newest schema, start the threads.

        Raises: StoreError: it cannot be used, with the address and the cause; what was opened is closed again.
        """
        self._abandoning.clear()
        try:
            writer, self._reader = await asyncio.to_thread(self._connect)
        except StoreLockedError:
            raise
        except StoreError as error:
            raise StoreError(f"cannot open {self._address}: {error}") from error
        self._groups.start(
            PostgresCommitter(
                writer,
                self._address,
                observe=self._observe,
                abandoning=self._abandoning,
            )
        )
        self._is_open = True

    async def close(self) -> None:
        """Cancel what reads, and finish what waits to be written, as long as the grace lasts; the rest changed nothing.

        Both raise StoreError in their callers, and so do later calls.
        """
        self._is_open = False
        if self._reader is not None:
            await asyncio.to_thread(_cancel, self._reader)
            await asyncio.get_running_loop().run_in_executor(self._reading, self._reader.close)
            self._reader = None
        await self._groups.stop(grace=_GRACE, abandoning=self._abandoning)
        await asyncio.to_thread(self._reading.shutdown)
        await self.ownership.close()

    async def write(
        self,
        job: Callable[[Connection], T],
        /,
        *,
        then: Callable[[], None] | None = None,
        flow: str = "",
        rows: int = 1,
    ) -> T:
        answer: T = await self._groups.run(job, then, flow=flow, rows=rows)
        return answer

    async def read(self, job: Callable[[Connection], T], /) -> T:
        if not self._is_open:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read_now, _read, job)

    async def look(self, job: Callable[[Connection], T], /) -> T:
        if not self._is_open:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read_now, _look, job)

    async def probe(self) -> None:
        await self.write(lambda connection: connection.write(_TOUCH))

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        """PostgreSQL uses the space of what was deleted again by itself, and keeps no promise when."""
        return False

    async def go_on_overwriting(self) -> bool:
        return True

    def _connect(self) -> tuple[psycopg.Connection[Any], psycopg.Connection[Any]]:
        with ExitStack() as opened:
            try:
                writer = opened.enter_context(closing(self._address.connect()))
                reader = opened.enter_context(closing(self._connect_reader()))
                look_for_pooler(writer, reader)
                use_database(writer, self._address)
                versions = shipped_versions() if self._versions is None else self._versions
                migrate(writer, versions)
                look_for_rights(writer, versions)
            except psycopg.Error as error:
                raise store_error(error) from error
            opened.pop_all()
        return writer, reader

    def _connect_reader(self) -> psycopg.Connection[Any]:
        """A session that cannot write."""
        reader = self._address.connect(idle_in_transaction=_READER_IDLE)
        try:
            reader.execute("SET default_transaction_read_only = on")
        except BaseException:
            reader.close()
            raise
        return reader

    def _read_now(
        self, run: Callable[[psycopg.Connection[Any], Callable[[Connection], T]], T], job: Callable[[Connection], T]
    ) -> T:
        """On a session that was lost the job is begun again, once."""
        for is_last in (False, True):
            reader = self._reader
            if reader is None or not self._is_open:
                raise StoreError("the store is closed")
            try:
                if reader.closed:
                    reader = self._reader = self._connect_reader()
                    again("reads")
                return run(reader, job)
            except psycopg.Error as error:
                if is_last or not reader.closed:
                    raise store_error(error) from error
        raise AssertionError("the second try returns or raises")


class _OneCall(PostgresConnection):
    """A statement by itself: what a second one reads could be of another state of the database."""

    __slots__ = ("_is_used",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self._is_used = False

    def _run(self, text: bytes, values: dict[str, Any]) -> list[Row]:
        if self._is_used:
            raise RuntimeError("a look makes one call of its connection")
        self._is_used = True
        return super()._run(text, values)


def _look(reader: psycopg.Connection[Any], job: Callable[[Connection], T]) -> T:
    return job(_OneCall(reader))


def _read(reader: psycopg.Connection[Any], job: Callable[[Connection], T]) -> T:
    """One snapshot for all statements of the job."""
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        answer = job(PostgresConnection(reader))
    except BaseException:
        roll_back(reader)
        raise
    try:
        reader.execute("COMMIT")
    except psycopg.Error:  # the session was lost: the answer stands
        reader.close()
    return answer


def _cancel(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.cancel_safe(timeout=2.0)
    except psycopg.Error:
        connection.close()
