"""What ends a database's writing for good: its file is gone or another, or the disk has lost what it was given.

After either there is no way to go on within the process: SQLite would write to a file without a name, and what a kernel
dropped at a failed fsync cannot be asked for again (the next fsync says that all is well).
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from hub.errors import StoreError
from hub.store.sqlite.errors import extended_code, store_error

_LOST = frozenset([apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC, apsw.SQLITE_IOERR_CORRUPTFS])
_SUFFIXES = ("", "-wal", "-shm")
_UNKNOWN = (0, 0)


class StoreGuard:
    """Watches one open database. `on_broken` is called once, with the reason, from a thread of the database.

    `look_every`: seconds between two looks at the files while no transaction looks.
    """

    def __init__(self, path: Path, *, on_broken: Callable[[str], None], look_every: float) -> None:
        self._path = path
        self._look_every = look_every
        self._on_broken = on_broken
        self._files: Sequence[tuple[str, tuple[int, int] | None]] = ()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.broken: str | None = None

    def start(self) -> None:
        """From now on the files have to stay what they are; the connections are open."""
        self._files = [(name, _identity(name)) for name in (f"{self._path}{suffix}" for suffix in _SUFFIXES)]
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, name="pushbridge-store-guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Before the connections are closed, which removes files."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def check(self) -> None:
        """Look at the files: after a commit, before it is acknowledged. Raises: StoreError: writing has ended."""
        if self.broken is None:
            for name, identity in self._files:
                if _identity(name) not in (identity, _UNKNOWN):
                    self._break(f"{name} was deleted or replaced while it was open: nothing is written any more")
                    break
        if self.broken is not None:
            raise StoreError(self.broken)

    def note(self, error: BaseException) -> None:
        """An error of the database: whether it ends the writing is for this to know."""
        if isinstance(error, apsw.Error) and extended_code(error) in _LOST:
            self._break(
                f"{store_error(error)}: what was written to {self._path} may be lost, the process has to start again"
            )

    def _break(self, reason: str) -> None:
        with self._lock:
            if self.broken is not None:
                return
            self.broken = reason
        self._on_broken(reason)

    def _watch(self) -> None:
        while self.broken is None and not self._ended.wait(self._look_every):
            try:
                self.check()
            except StoreError:
                return


def _identity(name: str) -> tuple[int, int] | None:
    """Device and inode, None of what is not there."""
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # a right was taken from a directory: the files may well be the same
        return _UNKNOWN
    return status.st_dev, status.st_ino
