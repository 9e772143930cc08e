"""A thread of its own for a client that blocks: its calls run one after the other, beside the event loop."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Runs what it is given, in order, in one thread from the first call to `end`.

    A call that hangs holds up the calls behind it and nothing else: the thread does not keep the process from its end.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_started = False

    async def call(self, work: Callable[[], T]) -> T:
        """The answer of `work`, which runs to its end also when the caller is cancelled. Raises: what it raises."""
        return await self.begin(work)

    def begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """As `call`, without waiting for the answer."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                found: tuple[Any, BaseException | None] = (None, error)
            else:
                found = (result, None)
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_answer, answer, *found)

        self._calls.put(run)
        if not self._is_started:
            self._is_started = True
            self._thread.start()
        return answer

    def end(self) -> None:
        """Let the thread end after the calls that it was given."""
        self._calls.put(None)

    def _run(self) -> None:
        while (work := self._calls.get()) is not None:
            work()


def _answer(future: "asyncio.Future[Any]", result: object, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
