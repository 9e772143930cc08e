"""Moves the log of a database into the database, beside the thread that writes.

SQLite begins the log anew with the first write that finds all of it moved and nobody reading it. A writer that never
pauses is always ahead of a move beside it, so such a log only grows. So the thread here moves nearly all of it, and the
writer moves the short rest between two groups, once the log is long.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from hub.store.sqlite.errors import store_error
from hub.store.sqlite.guard import StoreGuard

_log = logging.getLogger("pushbridge.store")

LONG = 4
"""Times `every`: a log of so many pages has its rest moved by the writer, so that it begins anew. A file that became longer
is cut to this when it does."""
_SHORT = 8
"""Part of `every`: a rest of fewer pages is short."""
_LONGEST = 8
"""Times `every`: from here on the writer moves whatever there is, as the thread does not catch up with it."""
_PAUSE = 0.05
"""Seconds between two moves when one has left something, for a reader of an older state or the disk is in the way."""


class Checkpointer:
    """For one writer, which calls all but `start` from its thread. `every`: pages of the log between two moves.

    `observe` is called with (`checkpoint`, seconds) for a move, from whichever thread makes it.
    """

    def __init__(self, guard: StoreGuard, *, observe: Callable[[str, float], None], every: int) -> None:
        self._guard = guard
        self._observe = observe
        self._every = every
        self._pages = 0
        self._moved = 0
        self._tried_at = 0
        self._trouble = ""
        self._moving = threading.Lock()
        self._has_work = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, connection: apsw.Connection) -> None:
        """Begin; the connection, as durable as the writer's, belongs to the thread from now on, which closes it."""
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="pushbridge-store-checkpoint", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish a move that is under way, and end the thread."""
        self._ended.set()
        self._has_work.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While nothing is moved; a move that is under way is awaited."""
        with self._moving:
            yield

    def logged(self, pages: int) -> None:
        """The log has so many pages after a commit."""
        if pages < max(self._pages, self._moved):  # it began anew
            self._moved = self._tried_at = 0
        self._pages = pages

    def after_group(self, connection: apsw.Connection) -> None:
        """Have moved what has to be; the connection is the writer's."""
        rest, since = self._pages - self._moved, self._pages - max(self._tried_at, self._moved)
        has_short_rest = rest * _SHORT <= self._every and (self._pages - self._tried_at) * _SHORT >= self._every
        if (self._pages >= LONG * self._every and has_short_rest) or since >= _LONGEST * self._every:
            self._tried_at = self._pages
            self._move(connection)
        elif rest >= self._every:
            self._has_work.set()

    def _run(self, connection: apsw.Connection) -> None:
        try:
            while True:
                self._has_work.wait()
                if self._ended.is_set():
                    return
                self._has_work.clear()
                if self._pages - self._moved >= self._every and not self._move(connection):
                    self._ended.wait(_PAUSE)
        finally:
            connection.close()

    def _move(self, connection: apsw.Connection) -> bool:
        """Whether all was moved that the log had. A reader or a full disk may leave something, which is moved later."""
        with self._moving:
            if self._guard.broken is not None:  # what a sync lost must not count as moved
                return False
            started = time.perf_counter()
            try:
                pages, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:
                self._guard.note(error)
                self._warn(str(store_error(error)))
                return False
        self._trouble = ""
        self._moved = moved
        self._observe("checkpoint", time.perf_counter() - started)
        return bool(moved == pages)

    def _warn(self, trouble: str) -> None:
        if trouble != self._trouble:
            _log.warning("the log of the database grows, it cannot be moved into it: %s", trouble)
        self._trouble = trouble
