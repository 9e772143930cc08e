"""One thread that writes to SQLite, and commits what has come together as one transaction."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import apsw

from hub.errors import StoreError
from hub.store.connection import Connection
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.guard import StoreGuard
from hub.store.sqlite.overwriting import READER, Overwriting

_log = logging.getLogger("pushbridge.store")

WriteJob = Callable[[Connection], Any]

_GROUP = 64
"""Jobs in one transaction at most: bounds how long the first of them waits for the last."""


class _Waiting(NamedTuple):
    job: WriteJob
    then: Callable[[], None] | None
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class GroupWriter:
    """Runs jobs in the order they came, as many as wait in one transaction, so that one fsync serves all of them.

    A job may run twice: when another of its group fails, the group is undone and each job is run on its own, so that a
    failure costs only itself. So a job's effects are in the database alone. Once `abandoning` is set, no job is begun.
    No job is acknowledged without the guard's consent.

    `observe` is called from the writer's thread with (operation, seconds): `write` for a transaction, `commit` for the end
    of one that wrote, which waits for the disk, and `checkpoint` for a move of the log into the database.

    After `checkpoint` pages in the log the thread moves them into the database, once the group has its answers.
    """

    def __init__(
        self,
        guard: StoreGuard,
        *,
        overwriting: Overwriting,
        observe: Callable[[str, float], None],
        abandoning: threading.Event,
        checkpoint: int,
    ) -> None:
        self._guard = guard
        self._observe = observe
        self._abandoning = abandoning
        self._checkpoint = checkpoint
        self._pages_in_log = 0
        self._has_logged = False
        self._overwriting = overwriting
        self._has_to_overwrite = False
        self._on_busy: Callable[[int], bool] | None = None
        self._log_trouble = ""
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, connection: apsw.Connection, *, on_busy: Callable[[int], bool]) -> None:
        """Begin; the connection belongs to the thread from now on, which closes it. `on_busy` is its busy handler."""
        self._on_busy = on_busy
        connection.wal_autocheckpoint(0)  # SQLite's own says nothing of its errors, and makes the commit wait
        connection.set_wal_hook(self._logged)
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="pushbridge-store-writer", daemon=True
        )
        self._thread.start()

    async def run(self, job: WriteJob, then: Callable[[], None] | None = None) -> Any:
        """The job's answer, once it is durable; `then` is called before any other job is begun.

        Raises: StoreError: the database could not do it, or the writer has been stopped; else what the job raises, a
        defect included, which trying again would not mend.
        """
        if self._thread is None:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.put(_Waiting(job, then, loop, future))
        return await future

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

    async def go_on_overwriting(self, *, steps: int) -> bool:
        """Make so many steps of the pass that was begun, until one finds readers in the way; whether the pass is done.

        Writes have their turn in between. Raises: StoreError.
        """
        for _ in range(steps):
            if self._overwriting.is_done:
                break
            self._has_to_overwrite = True
            for _ in range(2):  # behind the first the thread makes the step, and the second comes behind that
                await self.run(_nothing)
            if self._overwriting.is_blocked:
                break
        return self._overwriting.is_done

    async def stop(self, *, grace: float) -> None:
        """Finish what waits, then end the thread; after `grace` seconds `abandoning` is set."""
        thread, self._thread = self._thread, None  # first: no job may come behind the end of the queue
        if thread is None:
            return
        self._waiting.put(None)
        await asyncio.to_thread(thread.join, grace)
        self._abandoning.set()
        await asyncio.to_thread(thread.join)

    def _run(self, connection: apsw.Connection) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                group = [first]
                stopping = self._take_more(group)
                self._commit(connection, group)
                if self._has_to_overwrite:
                    self._overwrite(connection)
                if self._pages_in_log >= self._checkpoint:
                    self._move_log(connection)
                if stopping:
                    return
        finally:
            if self._guard.broken is not None:  # the file of that name, and its log, are not ours to remove
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._close(connection)
            self._overwriting.close()

    def _close(self, connection: apsw.Connection) -> None:
        try:
            connection.close()
        except apsw.Error as error:  # all that was acknowledged is in the log, which stays
            self._guard.note(error)
            _log.warning("the log of the database stays beside it: %s", store_error(error))

    def _take_more(self, group: list[_Waiting]) -> bool:
        """Add what else waits, no more behind one that has a `then`; whether the end was among it."""
        while len(group) < _GROUP and group[-1].then is None:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                return False
            if more is None:
                return True
            group.append(more)
        return False

    def _commit(self, connection: apsw.Connection, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            self._begin(connection)
        except StoreError as error:  # no job's fault: each on its own would only wait as long again
            _resolve(group, [error for _ in group])
            return
        try:
            answers = self._transact(connection, [waiting.job for waiting in group])
            if group[-1].then is not None:
                group[-1].then()
        except Exception as error:
            if len(group) > 1:
                for waiting in group:
                    self._commit(connection, [waiting])
                return
            answers = [store_error(error) if isinstance(error, apsw.Error) else error]
        self._observe("write", time.perf_counter() - started)
        _resolve(group, answers)

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
        self._pages_in_log = pages
        self._has_logged = True
        return apsw.SQLITE_OK

    def _overwrite(self, connection: apsw.Connection) -> None:
        self._has_to_overwrite = False
        try:
            self._overwriting.step(connection)
        except apsw.Error as error:
            self._guard.note(error)
            trouble = str(store_error(error))
            if trouble != self._log_trouble:
                _log.warning("what was deleted cannot be overwritten in the file: %s", trouble)
            self._log_trouble = trouble
        finally:
            connection.set_busy_handler(self._on_busy)

    def _move_log(self, connection: apsw.Connection) -> None:
        """What it cannot move, because another program reads the log or the disk is full, it moves later."""
        started = time.perf_counter()
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self._guard.note(error)
            trouble = str(store_error(error))
            if trouble != self._log_trouble:  # the next commit tries again
                _log.warning("the log of the database grows, it cannot be moved into it: %s", trouble)
            self._log_trouble = trouble
        else:
            self._log_trouble = ""
            self._observe("checkpoint", time.perf_counter() - started)
        self._pages_in_log = 0


def _nothing(connection: Connection) -> None:
    """A job that changes nothing."""


def _resolve(group: Sequence[_Waiting], answers: Sequence[Any]) -> None:
    """Wake each loop once for all of its jobs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, answer in zip(group, answers, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.future, answer))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, pairs)


def _deliver(pairs: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
