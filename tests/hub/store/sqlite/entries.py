"""A load for the database alone: entries of many sizes, written by several tasks, changed and deleted."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from hub.errors import StoreError
from hub.store.connection import Connection, Statement
from hub.store.sqlite.database import SqliteDatabase, SqliteTuning
from hub.store.versions import SchemaVersion

_SCHEMA = [
    SchemaVersion(
        number=1,
        sql=(
            "CREATE TABLE entry (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, content BLOB NOT NULL) STRICT;"
            "CREATE INDEX entry_revision ON entry (revision);"
            "CREATE TABLE half (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL) STRICT;"
        ),
        readable_from=1,
    )
]
_PUT = Statement(
    "test.put_entry",
    "INSERT INTO entry (id, revision, content) VALUES (:id, :revision, :content)"
    " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, content = excluded.content",
)
_PUT_HALF = Statement(
    "test.put_half",
    "INSERT INTO half (id, revision) VALUES (:id, :revision) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision",
)
_DROP = Statement("test.drop_entry", "DELETE FROM entry WHERE id = :id")
_DROP_HALF = Statement("test.drop_half", "DELETE FROM half WHERE id = :id")
_ALL = Statement("test.entries", "SELECT id, revision, length(content) FROM entry")
_ALL_HALVES = Statement("test.halves", "SELECT id, revision FROM half")

_CHECK = Statement("test.integrity", "PRAGMA integrity_check")

TASKS = 3
ROUNDS = 40
"""Of each task: more than the operations before a cut."""


class Entries:
    """`power_loss.Load`. Each task has ids of its own, so what was acknowledged last of an id is what must be there.

    A write under way when the power goes may be there or not, as a whole; one that failed while the disk went on is not.
    With `persistent` a task goes on after a failure.
    """

    def __init__(self, rng: random.Random, *, persistent: bool = False) -> None:
        self.failures: list[str] = []
        self.broken: list[str] = []
        self.acknowledged = 0
        self._rng = rng
        self._persistent = persistent
        self._database: SqliteDatabase | None = None
        self._possible: dict[int, set[int | None]] = defaultdict(lambda: {None})

    async def open(self, path: Path, *, vfs: str = "", synchronous: str = "FULL") -> None:
        tuning = SqliteTuning(
            vfs=vfs, synchronous=synchronous, checkpoint=self._rng.choice([3, 10, 30, 1000]), grace=1.0
        )
        self._database = SqliteDatabase(
            path, versions=_SCHEMA, tuning=tuning, allow_ephemeral=True, on_broken=self.broken.append
        )
        await self._database.open()

    async def work(self) -> None:
        await asyncio.gather(*(self._task(number) for number in range(TASKS)))

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()

    async def missing(self) -> Sequence[str]:
        assert self._database is not None
        return await self._database.read(self._missing_in)

    async def _task(self, number: int) -> None:
        assert self._database is not None
        for revision in range(ROUNDS):
            id = number + TASKS * self._rng.randrange(8)
            written = None if self._rng.random() < 0.2 else revision
            content = self._rng.randbytes(self._rng.choice([20, 300, 3000, 9000]))
            before, self._possible[id] = self._possible[id], self._possible[id] | {written}
            try:
                await self._database.write(_drop(id) if written is None else _put(id, revision, content))
            except StoreError as error:
                self.failures.append(str(error))
                if not self._persistent:
                    return
                if not self.broken:
                    self._possible[id] = before
                continue
            self.acknowledged += 1
            self._possible[id] = {written}
            if self._rng.random() < 0.3:
                await self._read_something()

    async def _read_something(self) -> None:
        assert self._database is not None
        try:
            await self._database.read(lambda connection: connection.read(_ALL))
        except StoreError as error:
            self.failures.append(str(error))

    def _missing_in(self, connection: Connection) -> list[str]:
        found = {id: revision for id, revision, _ in connection.read(_ALL)}
        halves: dict[int, int] = dict(connection.read(_ALL_HALVES))
        wrong = [] if found == halves else [f"half of a transaction: {found} and {halves}"]
        wrong += [
            f"entry {id} has revision {found.get(id)}, not one of {self._possible[id]}"
            for id in found.keys() | self._possible.keys()
            if found.get(id) not in self._possible[id]
        ]
        (answer,) = connection.read(_CHECK)
        return wrong if answer == ("ok",) else [*wrong, str(answer)]


def _put(id: int, revision: int, content: bytes) -> Callable[[Connection], None]:
    def job(connection: Connection) -> None:
        connection.write(_PUT, id=id, revision=revision, content=content)
        connection.write(_PUT_HALF, id=id, revision=revision)

    return job


def _drop(id: int) -> Callable[[Connection], None]:
    def job(connection: Connection) -> None:
        connection.write(_DROP, id=id)
        connection.write(_DROP_HALF, id=id)

    return job
