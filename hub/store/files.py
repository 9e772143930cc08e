"""The store's files belong to the user that runs the process: they hold push channels, tags and the bodies of events."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_FILE, _DIRECTORY = 0o600, 0o700
_OTHERS = 0o077
_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock", ".erased")
"""Of the files beside the database, which has none."""


def make_private(path: Path) -> Sequence[Path]:
    """Let only the owner read the database at `path` and the files beside it; the answer is those that others could read.

    The database is created where it is missing: SQLite gives the mode of the database to the files that it adds. So are
    missing directories above it; a directory that is there keeps its mode. The umask has no say in any of this.

    Raises: OSError.
    """
    for directory in reversed([parent for parent in path.parents if not parent.exists()]):
        directory.mkdir(exist_ok=True)
        directory.chmod(_DIRECTORY)  # a umask may have taken rights that the next one below needs
    path.parent.mkdir(exist_ok=True)  # says so of what is no directory
    tightened = [each for each in (path.with_name(path.name + suffix) for suffix in _SUFFIXES) if _tighten(each)]
    create_private(path)
    return tightened


def create_private(path: Path) -> None:
    """Create an empty file for its owner alone, unless the file is there. Raises: OSError.

    A file that is there is not opened: to close it would end the locks that SQLite has on it in this process.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, _FILE)  # a umask may have taken the owner's rights too
    finally:
        os.close(descriptor)


def _tighten(path: Path) -> bool:
    """Whether others had any right to the file, which they have no more."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return False
    if not mode & _OTHERS:
        return False
    path.chmod(mode & ~_OTHERS)
    return True
