"""Copies of a database under load, and the way back.

A copy is one state of the database: the one at which it began, whatever is written meanwhile. It is made in steps on a
connection of its own, in one read transaction, so no writer waits for it; the log cannot be emptied until it ends.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from hub.errors import InvalidRequestError, StoreError
from hub.store.connection import Connection
from hub.store.files import create_private, make_private
from hub.store.sqlite.connection import SqliteConnection
from hub.store.sqlite.erasures import Erasures
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.lock import FileLock
from hub.store.sqlite.migrate import version_of

Erase = Callable[[Connection, Erasures], int]
"""Erases what a copy keeps of the persons who were erased since it was made; how many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore has done: the file that was there before, None when there was none, and the rows erased again."""

    before: Path | None
    erased: int


def copy(
    source: Path, target: Path, *, vfs: str = "", is_closing: Callable[[], bool] = lambda: False, step: int = 256
) -> int:
    """Copy the database, which may be in use, to a file that is not there yet; its size in bytes.

    The copy appears under its name once it is whole and on the disk. Between two looks whether the store is closing
    `step` pages are copied. Raises: InvalidRequestError: there is a file, or no directory; StoreError.
    """
    if target.exists():
        raise InvalidRequestError(f"{target} is there already: name a new file")
    if not target.parent.is_dir():
        raise InvalidRequestError(f"there is no directory {target.parent} on the daemon's machine")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        create_private(part)
        _copy_pages(source, part, vfs=vfs, is_closing=is_closing, step=step)
        _sync(part)
        os.link(part, target)  # unlike a rename it replaces no file that came meanwhile
    except apsw.Error as error:
        raise StoreError(f"cannot write {target}: {store_error(error)}") from error
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    _sync(target.parent)
    return target.stat().st_size


def _copy_pages(source: Path, part: Path, *, vfs: str, is_closing: Callable[[], bool], step: int) -> None:
    reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs or None)
    writing = apsw.Connection(str(part))
    try:
        # Without a transaction each commit of the writer would start the copy from its beginning.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        with writing.backup("main", reading, "main") as pages:
            while not pages.done:
                if is_closing():
                    raise StoreError("the store is closing: the copy was given up")
                pages.step(step)
        reading.execute("COMMIT")
        writing.pragma("journal_mode", "DELETE")  # one file, whole without a log
    finally:
        writing.close()
        reading.close()


def restore(source: Path, target: Path, *, erase: Sequence[Erase] = ()) -> Restored:
    """Put a copy in the place of a store that no process has open.

    What was there is kept beside it. Erasures that were made since the copy are made again, before the copy is in its
    place. Raises: StoreError, StoreLockedError.
    """
    target = target.resolve()
    part = target.with_name(f"{target.name}.restoring")
    try:
        make_private(target)
        lock = FileLock(target)
        try:
            part.unlink(missing_ok=True)
            create_private(part)
            shutil.copyfile(source, part)
            erased = _prepare(part, Erasures(target), erase)
            _sync(part)
            before = _set_aside(target)
            os.replace(part, target)
            _sync(target.parent)
        finally:
            part.unlink(missing_ok=True)
            lock.close()
    except apsw.Error as error:
        raise StoreError(f"cannot restore {source}: {store_error(error)}") from error
    except OSError as error:
        raise StoreError(f"cannot restore {source}: {error}") from error
    return Restored(before=before, erased=erased)


def _prepare(part: Path, erasures: Erasures, erase: Sequence[Erase]) -> int:
    """Look whether the copy is whole and ours, and erase in it; how many rows."""
    connection = apsw.Connection(str(part))
    try:
        if version_of(connection) == (0, 0):
            raise StoreError("the copy is empty")
        if (found := connection.pragma("quick_check", 1)) != "ok":
            raise StoreError(f"the copy is damaged: {found}")
        connection.pragma("secure_delete", "ON")
        erased = 0
        with connection:
            for each in erase:
                erased += each(SqliteConnection(connection), erasures)
        return erased
    finally:
        connection.close()


def _set_aside(target: Path) -> Path | None:
    """Rename what is there, with its log; None when the file holds nothing."""
    if not target.stat().st_size:
        return None
    number = 1
    while (aside := target.with_name(f"{target.name}.before-restore-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        if (file := target.with_name(f"{target.name}{suffix}")).exists():
            file.rename(aside.with_name(f"{aside.name}{suffix}"))
    return aside


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
