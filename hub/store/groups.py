"""One thread that runs jobs in groups, so that one commit serves all that came together."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from hub.errors import StoreError
from hub.store.connection import Connection

WriteJob = Callable[[Connection], Any]

_GROUP = 64
"""Jobs in one transaction at most: bounds how long the first of them waits for the last."""


class Waiting(NamedTuple):
    """A job with what has to happen in memory with its commit, and who waits for its answer."""

    job: WriteJob
    then: Callable[[], None] | None
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class Committer(Protocol):
    """What a database does with a group, in the thread of the groups; that thread calls all of it."""

    def begin(self) -> None:
        """Begin a transaction. Raises: StoreError: it cannot be, for any job."""

    def transact(self, jobs: Sequence[WriteJob], /) -> list[Any]:
        """Run the jobs in the transaction that was begun, and commit; their answers, or else nothing has changed.

        Raises: CommonError: no job's fault; else what one of the jobs raised.
        """

    def after_group(self) -> None:
        """What has to be done once a group has its answers."""

    def close(self) -> None:
        """The thread ends."""


class CommonError(Exception):
    """A transaction failed for a reason that is no job's: `error` is the answer of each."""

    def __init__(self, error: StoreError) -> None:
        super().__init__(str(error))
        self.error = error


class JobGroups:
    """Runs jobs in the order they came, as many as wait in one transaction.

    A job may run twice: when another of its group fails, the group is undone and each job is run on its own, so that a
    failure costs only itself. So a job's effects are in the database alone.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, committer: Committer) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(committer,), name="pushbridge-store-writer", daemon=True
        )
        self._thread.start()

    async def run(self, job: WriteJob, then: Callable[[], None] | None = None) -> Any:
        """The job's answer, once it is durable; `then` is called before any other job is begun.

        Raises: StoreError: the database could not do it, or the thread has been stopped; else what the job raises, a
        defect included, which trying again would not mend.
        """
        if self._thread is None:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.put(Waiting(job, then, loop, future))
        return await future

    async def stop(self, *, grace: float, abandoning: threading.Event) -> None:
        """Finish what waits, then end the thread; after `grace` seconds `abandoning` is set."""
        thread, self._thread = self._thread, None  # first: no job may come behind the end of the queue
        if thread is None:
            return
        self._waiting.put(None)
        await asyncio.to_thread(thread.join, grace)
        abandoning.set()
        await asyncio.to_thread(thread.join)

    def _run(self, committer: Committer) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                group = [first]
                stopping = self._take_more(group)
                _commit(committer, group)
                committer.after_group()
                if stopping:
                    return
        finally:
            committer.close()

    def _take_more(self, group: list[Waiting]) -> bool:
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


def _commit(committer: Committer, group: list[Waiting]) -> None:
    try:
        committer.begin()
    except StoreError as error:  # no job's fault: each on its own would only wait as long again
        _resolve(group, [error for _ in group])
        return
    try:
        answers = committer.transact([waiting.job for waiting in group])
        if group[-1].then is not None:
            group[-1].then()
    except CommonError as common:
        answers = [common.error for _ in group]
    except Exception as error:
        if len(group) > 1:
            for waiting in group:
                _commit(committer, [waiting])
            return
        answers = [error]
    _resolve(group, answers)


def _resolve(group: Sequence[Waiting], answers: Sequence[Any]) -> None:
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
