"""SQLite's errors in the store's words: what happened first, then SQLite's own text."""

from errno import EROFS

import apsw

from hub.errors import StoreError

_WORDS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.FullError, "the disk is full"),
    (apsw.BusyError, "another program holds the database"),
    (apsw.ReadOnlyError, "the database is read-only"),
    (apsw.NotADBError, "this is no SQLite database"),
    (apsw.CorruptError, "the database is damaged"),
    (apsw.CantOpenError, "the file cannot be opened"),
    (apsw.InterruptError, "the store is closing"),
    (apsw.IOError, "the disk failed"),
)


def store_error(error: apsw.Error) -> StoreError:
    """The error of SQLite as one of the store, with it as the cause. A disk's error is named with SQLite's code."""
    parts = [words for kind, words in _WORDS if isinstance(error, kind)]
    if isinstance(error, apsw.IOError):
        parts.append(str(apsw.mapping_extended_result_codes.get(extended_code(error), "SQLITE_IOERR")))
    translated = StoreError(": ".join(filter(None, [*parts, str(error)])))
    translated.__cause__ = error
    return translated


def cause_of(error: apsw.Error | OSError | StoreError) -> str:
    """Why a database cannot be opened, in words."""
    if isinstance(error, apsw.Error):
        return str(store_error(error))
    if isinstance(error, PermissionError):
        return f"{error.strerror}: the user that runs the daemon has to own {error.filename}"
    if isinstance(error, OSError) and error.errno == EROFS:
        return f"{error.strerror}: bridge.store.url has to name a place that can be written, such as a volume"
    return str(error)


def extended_code(error: BaseException) -> int:
    """SQLite's extended result code of an error, 0 of what has none."""
    return int(getattr(error, "extendedresult", apsw.SQLITE_OK))
