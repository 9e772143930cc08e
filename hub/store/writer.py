"""One thread that writes to SQLite, and commits what has come together as one transaction."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hub.errors import StoreError

WriteJob = Callable[[sqlite3.Connection], Any]

_GROUP = 64
"""Jobs in one transaction at most: bounds how long the first of them waits for the last."""


class _Waiting(NamedTuple):
    job: WriteJob
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class GroupWriter:
    """Runs jobs in the order they came, as many as wait in one transaction, so that one fsync serves all of them.

    A job may run twice: when another of its group fails, the group is undone and each job is run on its own, so that a
    failure costs only itself. So a job's effects are in the database alone. `observe` is called with each transaction's
    time in seconds, from the writer's thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, observe: Callable[[float], None]) -> None:
        self._connect = connect
        self._observe = observe
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, and begin; may take as long as `connect` does, and raises what that raises."""
        connection = self._connect()
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="pushbridge-store-writer", daemon=True
        )
        self._thread.start()

    async def run(self, job: WriteJob) -> Any:
        """The job's answer, once it is durable.

        Raises: StoreError: the database could not do it, or the writer has been stopped; else what the job raises, a
        defect included, which trying again would not mend.
        """
        if self._thread is None:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.put(_Waiting(job, loop, future))
        return await future

    async def stop(self) -> None:
        """Finish what waits, then end the thread."""
        thread, self._thread = self._thread, None  # first: nobody takes what comes behind the end
        if thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(thread.join)

    def _run(self, connection: sqlite3.Connection) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                group = [first]
                stopping = self._take_more(group)
                self._commit(connection, group)
                if stopping:
                    return
        finally:
            connection.close()

    def _take_more(self, group: list[_Waiting]) -> bool:
        """Add what else waits; whether the end was among it."""
        while len(group) < _GROUP:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                return False
            if more is None:
                return True
            group.append(more)
        return False

    def _commit(self, connection: sqlite3.Connection, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:  # nobody's fault: each on its own would only wait as long again
            _resolve(group, [_in_our_words(error) for _ in group])
            return
        try:
            answers = _transact(connection, [waiting.job for waiting in group])
        except Exception as error:
            if len(group) > 1:
                for waiting in group:
                    self._commit(connection, [waiting])
                return
            answers = [_in_our_words(error)]
        self._observe(time.perf_counter() - started)
        _resolve(group, answers)


def _transact(connection: sqlite3.Connection, jobs: Sequence[WriteJob]) -> list[Any]:
    """In the transaction that was begun, which ends here."""
    try:
        answers = [job(connection) for job in jobs]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answers


def _in_our_words(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    wrapped = StoreError(f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


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
