"""Notices when one step of work holds the event loop, and names the step.

All that the daemon does takes turns on one loop: a step that does not end delays every source, push and request. The loop
wakes itself 20 times a second and measures by how much each time was late. A thread looks at the loop from outside: once
a time is late by the bound, the thread keeps the task and the stack of the loop, which is what holds it.
"""

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from bridge.observe.facts import LoopHeld, LoopObserver, LoopStillHeld, LoopTurned
from bridge.observe.loop_holds import LoopHold

_EVERY = 0.05
"""Seconds between two measurements: their cost is a two-thousandth of a processor."""

_STILL_HELD = 10.0
"""Seconds after which a hold is told before its end: who restarts a daemon that hangs would never read of it."""

_FRAMES = 10
"""Of a stack, the innermost calls that are told."""

_RECENT = 60.0


_NEARLY = 0.5
"""Of a hold, the share by which the thread came too late to look: from then on the thread was held as well."""

_SHORTEST, _LONGEST = 0.01, 0.25
"""Seconds between two looks of the thread; a bound that a reload lowers is in force after the longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What held the loop when it had not turned at `due`, the innermost call first; `late` says how late the look was."""

    due: float
    late: float
    task: str
    stack: tuple[str, ...]


class LoopGuard:
    """Run `run` as a task. `bound` is asked for the seconds from which a hold is told.

    `held_lately` are the seconds of the last minute that holds took, with the last of them.
    """

    def __init__(
        self,
        *,
        observer: LoopObserver,
        bound: Callable[[], float],
        every: float = _EVERY,
        still_held: float = _STILL_HELD,
    ) -> None:
        self._observer = observer
        self._bound = bound
        self._every = every
        self._still_held = still_held
        self._recent: deque[tuple[float, LoopHeld]] = deque(maxlen=1000)

    @property
    def held_lately(self) -> tuple[float, LoopHeld | None]:
        since = time.monotonic() - _RECENT
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        return sum(hold.seconds for _, hold in self._recent), self._recent[-1][1] if self._recent else None

    async def run(self) -> None:
        """Until cancelled."""
        watch = _Watch(asyncio.get_running_loop(), self._bound, self._observer, self._still_held)
        watch.start()
        try:
            while True:
                before = time.thread_time()
                watch.due = due = time.monotonic() + self._every
                await asyncio.sleep(self._every)
                late = time.monotonic() - due
                self._observer.observe(LoopTurned(seconds=max(0.0, late)))
                if late >= self._bound():
                    self._held(late, time.thread_time() - before, watch)
        finally:
            watch.stop()

    def _held(self, seconds: float, used: float, watch: "_Watch") -> None:
        look = watch.look
        is_seen = look is not None and look.due == watch.due
        if used >= min(seconds / 2, self._bound()):
            cause = LoopHold.COMPUTED
        elif look is None or not is_seen or look.late > _NEARLY * seconds:
            cause = LoopHold.STOPPED
        else:
            cause = LoopHold.WAITED
        hold = LoopHeld(
            seconds=seconds,
            cpu_seconds=used,
            cause=cause,
            task=look.task if look is not None and is_seen else "",
            stack=look.stack if look is not None and is_seen else (),
        )
        self._recent.append((time.monotonic(), hold))
        self._observer.observe(hold)


class _Watch:
    """The thread beside the loop. `due` is when the loop should have turned; `look` is of the last time it did not."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: Callable[[], float],
        observer: LoopObserver,
        still_held: float,
    ) -> None:
        self.due = time.monotonic()
        self.look: _Look | None = None
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._bound = bound
        self._observer = observer
        self._still_held = still_held
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop guard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; the thread ends with its next step."""
        self._stopped.set()

    def _run(self) -> None:
        pause = _SHORTEST
        told = 0.0
        while not self._stopped.wait(pause):
            bound, due = self._bound(), self.due
            late = time.monotonic() - due
            look = self.look
            if late < bound:
                pause = min(max(bound - late, _SHORTEST), _LONGEST)
            elif look is None or look.due != due:
                self.look = self._look(due, late - bound)
                pause = _LONGEST
            else:
                if late >= self._still_held and told != due:
                    told = due
                    self._observer.observe(LoopStillHeld(seconds=late, task=look.task, stack=look.stack))
                pause = _LONGEST

    def _look(self, due: float, late: float) -> "_Look":
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._loop_thread)  # for what a debugger does, and nothing public does it
        return _Look(due=due, late=late, task=_named(task), stack=calls_of(frame))


def _named(task: "asyncio.Task[Any] | None") -> str:
    """A task by its name and its coroutine; empty for a callback, which belongs to none."""
    if task is None:
        return ""
    coroutine = getattr(task.get_coro(), "__qualname__", "")
    return f"{task.get_name()} ({coroutine})" if coroutine else task.get_name()


def calls_of(frame: FrameType | None) -> tuple[str, ...]:
    """The innermost calls as module, line and function; no value of a variable."""
    calls: list[str] = []
    while frame is not None and len(calls) < _FRAMES:
        named = frame.f_globals or {}  # of a frame that ends at this moment there is nothing left
        calls.append(f"{named.get('__name__', '?')}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(calls)
