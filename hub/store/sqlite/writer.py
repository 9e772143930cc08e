"""One thread that writes to SQLite, and commits what has come together as one transaction."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from hub.errors import StoreError
from hub.store.connection import Connection
from hub.store.groups import JobGroups, WriteJob
from hub.store.sqlite.checkpointer import Checkpointer
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.guard import StoreGuard
from hub.store.sqlite.overwriting import READER, Overwriting

_log = logging.getLogger("pushbridge.store")


class GroupWriter:
    """Runs jobs as `JobGroups` says, so that one fsync serves a group. Once `abandoning` is set, no job is begun.

    No job is acknowledged without the guard's consent.

    `observe` is called from the writer's thread with (operation, seconds): `write` for a transaction, and `commit` for the
    end of one that wrote, which waits for the disk. `checkpointer` moves the log into the database.
    """

    def __init__(
        self,
        guard: StoreGuard,
        *,
        overwriting: Overwriting,
        observe: Callable[[str, float], None],
        abandoning: threading.Event,
        checkpointer: Checkpointer,
    ) -> None:
        self._guard = guard
        self._observe = observe
        self._abandoning = abandoning
        self._checkpointer = checkpointer
        self._overwriting = overwriting
        self._has_to_overwrite = False
        self._on_busy: Callable[[int], bool] | None = None
        self._has_logged = False
        self._log_trouble = ""
        self._groups = JobGroups()

    def start(self, connection: apsw.Connection, *, on_busy: Callable[[int], bool]) -> None:
        """Begin; the connection belongs to the thread from now on, which closes it. `on_busy` is its busy handler."""
        self._on_busy = on_busy
        connection.wal_autocheckpoint(0)  # SQLite's own says nothing of its errors, and makes the commit wait
        connection.set_wal_hook(self._logged)
        self._groups.start(_Committer(self, connection))

    async def run(self, job: WriteJob, then: Callable[[], None] | None = None, *, flow: str = "", rows: int = 1) -> Any:
        """As `JobGroups.run`."""
        return await self._groups.run(job, then, flow=flow, rows=rows)

    async def overwrite_deleted(self, *, seconds: float) -> bool:
        """Begin a pass that overwrites what was deleted, and work on it for about so many seconds; whether it is done.

        Raises: StoreError.
        """
        self._overwriting.begin()
        until = time.monotonic() + seconds
        while not await self.go_on_overwriting(steps=1) and time.monotonic() < until:
            if self._overwriting.is_blocked:
                await asyncio.sleep(READER)
        return self._overwriting.is_done

    async def go_on_overwriting(self, *, steps: int, seconds: float = math.inf) -> bool:
        """Make so many steps of the pass that was begun, until one finds readers in the way, or as many as begin within
        `seconds`; whether the pass is done.

        Writes have their turn in between. Raises: StoreError.
        """
        until = time.monotonic() + seconds
        for number in range(steps):
            if self._overwriting.is_done or (number and time.monotonic() >= until):
                break
            self._has_to_overwrite = True
            for _ in range(2):  # behind the first the thread makes the step, and the second comes behind that
                await self.run(_nothing)
            if self._overwriting.is_blocked:
                break
        return self._overwriting.is_done

    async def stop(self, *, grace: float) -> None:
        """Finish what waits, then end the thread; after `grace` seconds `abandoning` is set."""
        await self._groups.stop(grace=grace, abandoning=self._abandoning)

    def _after_group(self, connection: apsw.Connection) -> None:
        if self._has_to_overwrite:
            self._overwrite(connection)
        self._checkpointer.after_group(connection)

    def _close(self, connection: apsw.Connection) -> None:
        self._checkpointer.stop()  # before the connection, which moves what is left of the log and removes it
        if self._guard.broken is not None:  # the file of that name, and its log, are not ours to remove
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            connection.close()
        except apsw.Error as error:  # all that was acknowledged is in the log, which stays
            self._guard.note(error)
            _log.warning("the log of the database stays beside it: %s", store_error(error))
        self._overwriting.close()

    def _begin(self, connection: apsw.Connection) -> None:
        if self._guard.broken is not None:
            raise StoreError(self._guard.broken)
        if self._abandoning.is_set():
            raise StoreError("the store is closing")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise store_error(error) from error

    def _transact(self, connection: apsw.Connection, jobs: Sequence[WriteJob]) -> list[Any]:
        """In the transaction that was begun, which ends here."""
        try:
            answers = [job(SqliteConnection(connection)) for job in jobs]
            self._end(connection)
        except BaseException as error:
            self._guard.note(error)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._guard.check()
        return answers

    def _end(self, connection: apsw.Connection) -> None:
        """Commit; one that has written nothing does not wait for the disk, and is not timed."""
        self._has_logged = False
        started = time.perf_counter()
        connection.execute("COMMIT")
        if self._has_logged:
            self._observe("commit", time.perf_counter() - started)

    def _logged(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._checkpointer.logged(pages)
        self._has_logged = True
        return apsw.SQLITE_OK

    def _overwrite(self, connection: apsw.Connection) -> None:
        self._has_to_overwrite = False
        try:
            with self._checkpointer.standing_still():
                self._overwriting.step(connection)
        except Exception as error:  # whatever it is, the thread goes on to write
            self._guard.note(error)
            trouble = str(store_error(error)) if isinstance(error, apsw.Error) else repr(error)
            if trouble != self._log_trouble:
                _log.warning("what was deleted cannot be overwritten in the file: %s", trouble)
            self._log_trouble = trouble
        finally:
            connection.set_busy_handler(self._on_busy)


class _Committer:
    """`hub.store.groups.Committer`: a writer with its connection."""

    def __init__(self, writer: GroupWriter, connection: apsw.Connection) -> None:
        self._writer = writer
        self._connection = connection
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.perf_counter()
        self._writer._begin(self._connection)

    def transact(self, jobs: Sequence[WriteJob], /) -> list[Any]:
        is_over = len(jobs) == 1  # a group that fails is tried again, job by job
        try:
            answers = self._writer._transact(self._connection, jobs)
            is_over = True
        except apsw.Error as error:
            raise store_error(error) from error
        finally:
            if is_over:
                self._writer._observe("write", time.perf_counter() - self._began)
        return answers

    def after_group(self) -> None:
        self._writer._after_group(self._connection)

    def close(self) -> None:
        self._writer._close(self._connection)


def _nothing(connection: Connection) -> None:
    """A job that changes nothing."""
