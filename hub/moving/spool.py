"""What a list of registrations held, and what became of it: a file that a killed import goes on from.

SQLite of Python's own, not the store's: one process has the file for the time of an import, and its loss costs that time.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from hub.errors import StoreError
from hub.moving.found import Found

_SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS found (id TEXT PRIMARY KEY, owner TEXT NOT NULL, description TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS found_by_owner ON found (owner);
CREATE TABLE IF NOT EXISTS taken (
    key TEXT PRIMARY KEY, said TEXT NOT NULL, round INTEGER NOT NULL, answer TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
"""
_PART = 2000
"""Registrations that are read together; an installation has fewer."""

_THINGS = """
SELECT owner, id, description FROM found WHERE (owner, id) > (:owner, :id) AND NOT EXISTS (
    SELECT 1 FROM taken t WHERE t.round = :round AND t.key = CASE owner WHEN '' THEN 'r:' || id ELSE 'i:' || owner END
) ORDER BY owner, id LIMIT :most
"""
_HAS_OWNER = "SELECT 1 FROM found WHERE owner = ? LIMIT 1"
_HAS_ID = "SELECT 1 FROM found WHERE id = ?"
_SOURCE, _TOKEN, _ROUND, _LISTED = "source", "token", "round", "listed"


class Spool:
    """`with Spool(path, source=…) as spool`; without a path in a file of no name, which is gone in the end.

    `source` says which list it is of.

    A round is a listing and what was taken of it. A file whose round is over begins another.
    """

    def __init__(self, path: Path | None, *, source: str) -> None:
        self._path = path
        self._source = source
        self._file: sqlite3.Connection

    def __enter__(self) -> Self:
        """Raises: StoreError: the file is none of ours, of another list, or cannot be written."""
        try:
            if self._path is not None:
                self._path.touch(mode=0o600)  # it holds push channels
            self._file = sqlite3.connect(self._path or "")
            self._file.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._path}: cannot be used: {error}") from error
        if (source := self._state(_SOURCE)) not in ("", self._source):
            self._file.close()
            raise StoreError(f"{self._path} is of an import from {source}, not from {self._source}: name another file")
        if not source or self._state("over"):
            self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def round(self) -> int:
        return int(self._state(_ROUND))

    @property
    def token(self) -> str:
        """Of the page to be listed next, empty for the first."""
        return self._state(_TOKEN)

    @property
    def is_listed(self) -> bool:
        return bool(self._state(_LISTED))

    @property
    def thing_count(self) -> int:
        """Installations and single registrations that were found in this round."""
        counted = "SELECT COUNT(DISTINCT NULLIF(owner, '')) + COUNT(CASE WHEN owner = '' THEN 1 END) FROM found"
        return int(self._file.execute(counted).fetchone()[0])

    @property
    def found_count(self) -> int:
        return int(self._file.execute("SELECT COUNT(*) FROM found").fetchone()[0])

    def restart(self) -> None:
        """List from the first page again, with what was found kept: a list that changes may refuse an old place."""
        self._set({_TOKEN: "", _LISTED: ""})

    def add(self, found: Iterable[Found], *, token: str) -> None:
        """A page, and the token of the next; empty: it was the last. What was found twice is as it was found last."""
        rows = [(each.id, each.owner, each.description) for each in found]
        with self._writing():
            self._file.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", rows)
            self._put({_TOKEN: token, _LISTED: "" if token else "yes"})

    def things(self) -> Iterator[list[Found]]:
        """Single registrations, each by itself, and then all those of each installation; without what was taken already.

        What is taken meanwhile is in no later part.
        """
        owner, id, is_last = "", "", False
        while not is_last:
            rows = self._file.execute(
                _THINGS, {"round": self.round, "owner": owner, "id": id, "most": _PART}
            ).fetchall()
            groups = [list(group) for _, group in groupby(rows, key=lambda row: (row[0], "" if row[0] else row[1]))]
            is_last = len(rows) < _PART
            if not is_last and len(groups) > 1:
                groups.pop()  # it may go on behind this part
            for group in groups:
                owner, id = group[-1][:2]
                yield [Found(id, owner, description) for owner, id, description in group]

    def has(self, key: str) -> bool:
        """Whether a thing, by its key, was found in this round."""
        kind, _, id = key.partition(":")
        return self._file.execute(_HAS_OWNER if kind == "i" else _HAS_ID, (id,)).fetchone() is not None

    def was(self, key: str) -> str:
        """What was taken of a thing in earlier rounds, empty for nothing."""
        row = self._file.execute("SELECT said FROM taken WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def take(self, taken: Sequence[tuple[str, str, str, str]]) -> None:
        """(key, what is said of it from now on, answer, reason) of things; in the answer's words."""
        rows = [(key, said, self.round, answer, reason) for key, said, answer, reason in taken]
        with self._writing():
            self._file.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?, ?)", rows)

    def answers(self) -> dict[str, int]:
        """How many things of this round had each answer."""
        rows = self._file.execute("SELECT answer, COUNT(*) FROM taken WHERE round = ? GROUP BY answer", (self.round,))
        return dict(rows)

    def reasons(self, limit: int) -> list[tuple[str, str]]:
        """(key, reason) of what was refused in this round."""
        rows = self._file.execute(
            "SELECT key, reason FROM taken WHERE round = ? AND reason <> '' ORDER BY key LIMIT ?", (self.round, limit)
        )
        return [(key, reason) for key, reason in rows]

    def end(self) -> None:
        """The round is over: what was found is forgotten, what was taken is remembered."""
        with self._writing():
            self._file.execute("DELETE FROM found")
            self._put({"over": "yes"})

    def _begin(self) -> None:
        number = int(self._state(_ROUND) or 0) + 1
        self._set({_SOURCE: self._source, _ROUND: str(number), _TOKEN: "", _LISTED: "", "over": ""})

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction. Raises: StoreError: the disk is full, or another process has the file."""
        try:
            with self._file:
                yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path or 'a file of no name'}: cannot be written: {error}") from error

    def _set(self, values: dict[str, str]) -> None:
        with self._writing():
            self._put(values)

    def _put(self, values: dict[str, str]) -> None:
        self._file.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", values.items())

    def _state(self, name: str) -> str:
        row = self._file.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])
