"""The lock on the database file itself, so that one process has it, by whatever name it is opened.

SQLite locks bytes of the same file, with POSIX locks, and a process loses all of those when it closes any descriptor of
the file. So the descriptor of this lock is closed last, and a second store of the same process is refused before it
opens anything. On Linux the lock is an open-file-description lock on one byte far behind any page, where SQLite never
looks; on other systems it is `flock`, which POSIX locks do not see.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

from hub.errors import StoreLockedError

_BYTE = 2**62
"""Offset of the byte that is locked; SQLite's own are at 2**30."""
_REQUEST = struct.Struct("@hhqqi4x")
"""`struct flock` of fcntl(2): type, whence, start, length, process (0: the lock is the descriptor's)."""
_HELD: set[tuple[int, int]] = set()
"""Device and inode of the files that this process has locked."""


class FileLock:
    """An exclusive lock on a file that is there. It ends with the process, however it ends.

    Raises: StoreLockedError: another process, or another store of this one, has it. OSError.
    """

    def __init__(self, path: Path) -> None:
        self._identity = _identity(os.stat(path))
        if self._identity in _HELD:
            raise _locked(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise _locked(path) from error
            raise
        _HELD.add(self._identity)

    def close(self) -> None:
        """Let go, after each connection of SQLite to the file is closed."""
        if self._identity in _HELD:
            _HELD.discard(self._identity)
            os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process has the lock. Raises: OSError.

    Not for the process that has the file open: looking would end SQLite's locks there.
    """
    if _identity(os.stat(path)) in _HELD:
        return True
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not hasattr(fcntl, "F_OFD_GETLK"):
            return _is_flocked(descriptor)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request())
        return bool(_REQUEST.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """At once or not at all."""
    if hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request())
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _request() -> bytes:
    return _REQUEST.pack(fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0)


def _is_flocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _locked(path: Path) -> StoreLockedError:
    return StoreLockedError(f"another process uses {path}: a SQLite store belongs to one process")
