"""Long work beside the event loop: in a thread of its own, one piece at a time, with a limit.

Python runs one thread at a time, so the thread competes with the loop. Three things keep the loop's waits short: the
interpreter is asked to change threads each millisecond, garbage is not looked for (a look walks through all objects
of a large body, while nothing else runs), and the work is stopped at its limit.
"""

import asyncio
import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

LIMIT = 5.0
"""Seconds after which work is stopped."""

_SWITCH_EVERY = 0.001

T = TypeVar("T")


class TimeLimitError(Exception):
    """The work took longer than its limit and was stopped."""


class _Stopped(BaseException):
    """Raised inside the work; not an Exception, so that work which keeps its own errors does not keep this one."""


class Offload:
    """Runs long work in a thread, one piece after the other: two would only take the time from each other."""

    def __init__(self, *, limit: float = LIMIT) -> None:
        self.limit = limit
        self._one_at_a_time = asyncio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. `work` is pure: it may be stopped between any two of its steps.

        A call into C, such as the sorting of a list, ends before it is stopped. Cancelling stops the work too.

        Raises: TimeLimitError.
        """
        async with self._one_at_a_time:
            thread = _WorkThread(work, asyncio.get_running_loop())
            thread.start()
            try:
                async with asyncio.timeout(self.limit):
                    await thread.ended.wait()
            except TimeoutError:
                thread.stop()
                await thread.ended.wait()
            except asyncio.CancelledError:
                thread.stop()
                raise
            return thread.result()


class _WorkThread(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="pushbridge-offload", daemon=True)
        self.ended = asyncio.Event()
        self._work = work
        self._loop = loop
        self._lock = threading.Lock()
        self._is_done = False
        self._is_stopped = False
        self._values: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        with _Quiet():
            try:
                try:
                    self._values.append(self._work())
                except Exception as error:
                    self._error = error
                with self._lock:
                    self._is_done = True
                while self._is_stopped:  # the exception is on its way to this thread, and must not meet it further on
                    time.sleep(0.001)
            except _Stopped:
                self._error = TimeLimitError()
            del self._work
        with suppress(RuntimeError):  # the loop is closed: no caller waits any more
            self._loop.call_soon_threadsafe(self.ended.set)

    def stop(self) -> None:
        """Raise _Stopped in the work, unless it is done."""
        with self._lock:
            if not self._is_done and self.ident is not None:
                self._is_stopped = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(_Stopped))

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._values[0]


class _Quiet:
    """While any block of it runs: no look for garbage, and frequent changes between threads."""

    _lock = threading.Lock()
    _running = 0
    _collected = True
    _interval = 0.0

    def __enter__(self) -> None:
        with _Quiet._lock:
            _Quiet._running += 1
            if _Quiet._running == 1:
                _Quiet._collected, _Quiet._interval = gc.isenabled(), sys.getswitchinterval()
                gc.disable()
                sys.setswitchinterval(min(_SWITCH_EVERY, _Quiet._interval))

    def __exit__(self, *_: object) -> None:
        with _Quiet._lock:
            _Quiet._running -= 1
            if _Quiet._running == 0:
                sys.setswitchinterval(_Quiet._interval)
                if _Quiet._collected:
                    gc.enable()
