"""What was deleted leaves the files: the log is emptied, and pages lose what they hold beside their cells.

`secure_delete` overwrites a cell where it is deleted. But when SQLite moves cells from page to page it leaves copies of
them in the space between the pointers and the cells of a page (SQLite's "Database File Format", section 1.6). So a pass
reads all pages and overwrites that space with zeros, some pages at a time: while it does, the log is empty, so the file
is the newest state, and a transaction keeps all writers out. Nothing reads that space, so a write that a power cut tears
harms nothing.
"""

import struct
from pathlib import Path

import apsw

PAGES = 1024
"""Pages that one step looks at, at most: a few milliseconds, in which no write is begun."""
READER = 0.05
"""Seconds for which a step waits for readers of an older state."""

_B_TREE = {2: 12, 5: 12, 10: 8, 13: 8}
"""Bytes of the header by the kind of the page, which is its first byte."""
_CELLS = struct.Struct(">HH")
"""At the fourth byte of a page of a tree: how many cells it has, and where they begin."""
_FILE_HEADER = 100
_MOST_PAGES = 1 << 25
"""With more, the first byte of a page that is none of a tree may look like a kind."""


class Overwriting:
    """Passes over one database, on the connection of its writer and in its thread, but for `begin` and `is_done`.

    `vfs` is the connection's, empty for the usual one. `on_busy` is the connection's busy handler.
    """

    def __init__(self, path: Path, *, vfs: str = "") -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._vfs = vfs
        self._file: apsw.VFSFile | None = None
        self._next = 1
        self._last = 0
        self._has_to_begin = False
        self.is_done = True
        self.is_blocked = False
        """Whether the last step found readers of an older state, or could not be made."""

    def begin(self) -> None:
        """Another pass from the first page on: what was deleted until now is gone when it is done."""
        self._has_to_begin = True
        self.is_done = False

    def step(self, connection: apsw.Connection) -> None:
        """Do a part of the pass, in no transaction. Raises: apsw.Error, OSError."""
        if self._has_to_begin:
            self._has_to_begin, self._next = False, 1
        self.is_blocked = True
        if not self._empty_log(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._log.exists() and self._log.stat().st_size:  # another program wrote, and may move its log meanwhile
                return
            self._clean(connection)
        finally:
            connection.execute("ROLLBACK")
        connection.release_memory()  # of the pages as they were
        self.is_blocked = False
        self.is_done = self._next > self._last and not self._has_to_begin

    def close(self) -> None:
        """After the connection."""
        if self._file is not None:
            self._file.xClose()
            self._file = None

    def _empty_log(self, connection: apsw.Connection) -> bool:
        """Whether all of it is in the database, and its file cut to nothing."""
        connection.set_busy_timeout(int(READER * 1000))
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        return True

    def _clean(self, connection: apsw.Connection) -> None:
        ((size,),) = connection.execute("PRAGMA page_size")
        ((self._last,),) = connection.execute("PRAGMA page_count")
        if self._last >= _MOST_PAGES:
            raise apsw.TooBigError(f"{self._last} pages are too many to look for what was deleted")
        if self._file is None:
            flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
            self._file = apsw.VFSFile(self._vfs or "unix", str(self._path), flags)
        count = min(PAGES, self._last - self._next + 1)
        pages = self._file.xRead(count * size, (self._next - 1) * size)
        for index in range(len(pages) // size):
            first = index * size
            start, end = _unused(pages, first, size, is_first=self._next + index == 1)
            if end > start and pages.count(0, start, end) < end - start:
                self._file.xWrite(bytes(end - start), (self._next - 1) * size + start)
        self._next += count
        if self._next > self._last:
            self._file.xSync(apsw.SQLITE_SYNC_NORMAL)


def _unused(pages: bytes, first: int, size: int, *, is_first: bool) -> tuple[int, int]:
    """Where the space between pointers and cells of a page of a tree begins and ends; both 0 for another page."""
    header = first + _FILE_HEADER if is_first else first
    length = _B_TREE.get(pages[header])
    if length is None:
        return 0, 0
    cells, content = _CELLS.unpack_from(pages, header + 3)
    start, end = header + length + 2 * cells, first + (content or 65536)
    return (start, end) if start <= end <= first + size else (0, 0)
