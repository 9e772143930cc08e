"""Where fast tests keep their files: in memory if there is room, for a store waits for its disk at each commit."""

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

ROOM = 1024**3
"""Bytes that have to be free: the stores of a run take a tenth of it."""


def keep_in_memory(
    directory: Path = Path("/dev/shm"), *, room: int = ROOM, environ: MutableMapping[str, str] = os.environ
) -> bool:
    """Make `directory` the one of temporary files, also for processes that tests start; whether that was done.

    It is left alone where TMPDIR names one, and where programs cannot run from the directory or it is too small.
    """
    if environ.get("TMPDIR") or not _has_room(directory, room):
        return False
    environ["TMPDIR"] = str(directory)
    tempfile.tempdir = None  # what was found before
    return True


def _has_room(directory: Path, room: int) -> bool:
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return (
        os.access(directory, os.W_OK)
        and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
        and found.f_bavail * found.f_frsize >= room
    )
