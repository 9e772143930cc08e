"""SQLite's errors in the store's words: what happened first, then SQLite's own text."""

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
    """The error of SQLite as one of the store, with it as the cause."""
    words = next((f"{words}: " for kind, words in _WORDS if isinstance(error, kind)), "")
    translated = StoreError(f"{words}{error}")
    translated.__cause__ = error
    return translated
