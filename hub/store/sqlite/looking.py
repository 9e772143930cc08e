"""Looks at a database that change nothing, not even beside the file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

T = TypeVar("T")

_STEPS = 1000
"""Of SQLite's machine, between two looks at the time: while pages are read, a step takes long."""


def connect(path: Path, *, vfs: str = "") -> apsw.Connection:
    """A connection that changes nothing. Raises: apsw.Error."""
    has_log = path.with_name(f"{path.name}-wal").exists()
    # Without a log nothing may be made beside the file, as reading it otherwise would.
    how = "mode=ro" if has_log else "mode=ro&immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"{path.as_uri()}?{how}", flags=flags, vfs=vfs or None)


def look_at(path: Path, look: Callable[[apsw.Connection], T], *, vfs: str = "") -> T:
    """What a look at the database finds. Raises: apsw.Error, as `look`."""
    connection = connect(path, vfs=vfs)
    try:
        return look(connection)
    finally:
        connection.close()


def damage_in(connection: apsw.Connection, *, seconds: float) -> str:
    """What SQLite says of damaged pages, empty of none; it reads no longer than `seconds`. Raises: apsw.InterruptError."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        found = str(connection.pragma("quick_check", 1))
    finally:
        connection.set_progress_handler(None)
    return "" if found == "ok" else " ".join(found.replace("*** in database main ***", "").split())
