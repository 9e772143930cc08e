"""One thread that runs jobs in groups, so that one commit serves all that came together."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from hub.errors import StoreError
from hub.store.connection import Connection
from hub.store.turns import Turns

WriteJob = Callable[[Connection], Any]


class Waiting(NamedTuple):
    """A job with what has to happen in memory with its commit, whose turn it is, and who waits for its answer."""

    job: WriteJob
    then: Callable[[], None] | None
    flow: str
    rows: int
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
    """Runs jobs in the order that `Turns` says, many of those that wait in one transaction.

    A job may run twice: when another of its group fails, the group is undone and each job is run on its own, so that a
    failure costs only itself. So a job's effects are in the database alone.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._turns: Turns[Waiting] = Turns()  # the thread's own
        self._thread: threading.Thread | None = None

    def start(self, committer: Committer) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(committer,), name="pushbridge-store-writer", daemon=True
        )
        self._thread.start()

    async def run(self, job: WriteJob, then: Callable[[], None] | None = None, *, flow: str = "", rows: int = 1) -> Any:
        """The job's answer, once it is durable; `then` is called before any other job is begun.

        Jobs of a `flow` are run in the order they came; flows have turns, and share by `rows`.

        Raises: StoreError: the database could not do it, or the thread has been stopped; else what the job raises, a
        defect included, which trying again would not mend.
        """
        if self._thread is None:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._arrived.put(Waiting(job, then, flow, rows, loop, future))
        return await future

    async def stop(self, *, grace: float, abandoning: threading.Event) -> None:
        """Finish what waits, then end the thread; after `grace` seconds `abandoning` is set."""
        thread, self._thread = self._thread, None  # first: no job may come behind the end of the queue
        if thread is None:
            return
        self._arrived.put(None)
        await asyncio.to_thread(thread.join, grace)
        abandoning.set()
        await asyncio.to_thread(thread.join)

    def _run(self, committer: Committer) -> None:
        stopping = False
        try:
            while not stopping or self._turns:
                stopping |= self._line_up(wait=not self._turns)
                group = self._turns.group()
                if group:
                    _commit(committer, group)
                    committer.after_group()
        finally:
            committer.close()

    def _line_up(self, *, wait: bool) -> bool:
        """Give all that has arrived its place, and `wait` for something; whether the end was among it."""
        try:
            arrived = self._arrived.get(block=wait)
            while arrived is not None:
                self._turns.add(arrived.flow, arrived, rows=arrived.rows, is_last=arrived.then is not None)
                arrived = self._arrived.get_nowait()
        except queue.Empty:
            return False
        return True


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
