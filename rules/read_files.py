"""The files that a configuration names, such as secrets and certificates: whether one has changed since it was read."""

import errno
import os
import select
from pathlib import Path
from time import monotonic

_PATIENCE = 2.0
"""Seconds for whoever writes a secret into a pipe, such as a shell's `<(...)`."""

_Signature = tuple[int, int, int] | None


class ReadFiles:
    """Knows each file as it was when it was read the first time, also one that was not there.

    A link that is swapped, as Kubernetes does with mounted secrets, is a change of what it leads to.
    """

    def __init__(self) -> None:
        self._read: dict[Path, _Signature] = {}

    def add(self, file: Path) -> None:
        """Call it before the file is read: what changes from then on is a change."""
        if file not in self._read:
            self._read[file] = _signature(file)

    @property
    def as_read(self) -> tuple[_Signature, ...]:
        """What tells the files as they were read from any others."""
        return tuple(self._read.values())

    def as_now(self) -> tuple[_Signature, ...]:
        """The same, as the files are now."""
        return tuple(map(_signature, self._read))


def _signature(file: Path) -> _Signature:
    try:
        found = file.stat()
    except (OSError, ValueError):  # not there, not ours to see, or no name of a file
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_bounded(file: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file, or of a pipe, which is read to its end.

    Raises: OSError, as TimeoutError when nobody writes into a pipe or its writer does not end; ValueError when
    it is no name of a file.
    """
    content, deadline = b"", monotonic() + _PATIENCE
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as opened:
        ready = select.poll()
        ready.register(opened, select.POLLIN)  # a pipe that no one has opened to write has no end yet either
        while len(content) < limit:
            if not ready.poll(max(0.0, deadline - monotonic()) * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"nobody wrote this pipe to its end within {_PATIENCE:g} s")
            read = opened.read(limit - len(content))
            if read == b"":
                break
            content += read or b""
    return content
