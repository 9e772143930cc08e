"""A disk whose power can be cut, below the real database: a VFS of SQLite that remembers what was synced and what was not.

After a cut a file holds what was synced, and of the writes since then any: none, some, in any order, torn at sectors, or
as a length without content. An entry of a directory that was made or removed since may be there or not. Everything comes
from a seed, so a cut that loses something can be made again. The disk also fails on request: with EIO at the n-th write
or sync, with ENOSPC for a while.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw

from hub.errors import StoreError

SECTOR = 512
_NUMBERS = count()


class Operation(NamedTuple):
    """What changes the disk: the `number`-th `write`, `sync`, `truncate` or `delete` of all, of the file of that suffix
    (none: the database)."""

    number: int
    name: str
    suffix: str


Fault = Callable[[Operation], int | None]
"""The code of SQLite with which an operation fails, None when it works."""


@dataclass(frozen=True, slots=True)
class _Change:
    """Bytes written at an offset, or, without bytes, the length to which a file was cut."""

    offset: int
    content: bytes | None

    def apply(self, image: bytearray) -> None:
        if self.content is None:
            del image[self.offset :]
            return
        end = self.offset + len(self.content)
        if len(image) < end:
            image.extend(bytes(end - len(image)))
        image[self.offset : end] = self.content

    def torn(self, rng: random.Random) -> list["_Change"]:
        """Some sectors of it, in the order of the file."""
        if self.content is None:
            return [self]
        pieces = range(0, len(self.content), SECTOR)
        return [_Change(self.offset + at, self.content[at : at + SECTOR]) for at in pieces if rng.random() < 0.5]

    def emptied(self) -> "_Change":
        """The length that it gives to the file, and no content: the system had allocated, and not yet written."""
        return self if self.content is None else _Change(self.offset, bytes(len(self.content)))


@dataclass(slots=True)
class _File:
    """What is durable, what was changed since; whether the directory durably names it."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Change] = field(default_factory=list)
    named: bool = False

    def after_cut(self, rng: random.Random) -> bytes:
        image = bytearray(self.durable)
        for change in self._surviving(rng):
            fate = rng.random()
            if fate < 0.25:
                for piece in change.torn(rng):
                    piece.apply(image)
            elif fate < 0.3 and change.offset >= len(image):
                change.emptied().apply(image)
            else:
                change.apply(image)
        return bytes(image)

    def _surviving(self, rng: random.Random) -> list[_Change]:
        match rng.choice(["none", "first", "some", "some in any order", "all"]):
            case "none":
                return []
            case "first":
                return self.pending[: rng.randint(0, len(self.pending))]
            case "some":
                return [change for change in self.pending if rng.random() < 0.5]
            case "some in any order":
                return rng.sample(self.pending, rng.randint(0, len(self.pending)))
            case _:
                return self.pending


class FaultyDisk:
    """Files of one database. At operation number `cut_at` the power goes, and from then on nothing works; with `cut_in`
    only operations of the file of that suffix count. `fault` may make an operation fail. `before` is called with name and
    suffix before each write and sync, and may wait while other threads go on.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        cut_at: int | None = None,
        cut_in: str | None = None,
        fault: Fault = lambda operation: None,
        before: Callable[[str, str], None] = lambda name, suffix: None,
    ) -> None:
        self.vfs = f"faulty-{next(_NUMBERS)}"
        self.is_off = False
        self._numbers = count()
        self._rng = random.Random(seed)
        self._cut_at = cut_at
        self._cut_in = cut_in
        self._counted = count()
        self._fault = fault
        self._before = before
        self._files: dict[str, _File] = {}
        self._removed: dict[str, _File] = {}
        self._image: dict[str, bytes] = {}
        self._lock = threading.RLock()

    @contextmanager
    def mounted(self) -> Iterator["FaultyDisk"]:
        """As a VFS of the name `vfs`."""
        vfs = _Vfs(self)
        try:
            yield self
        finally:
            vfs.unregister()

    def cut(self) -> None:
        """Now, unless the power is off already."""
        with self._lock:
            if self.is_off:
                return
            self.is_off = True
            for path in {*self._files, *self._removed}:
                content = self._content_after_cut(path)
                if content is not None:
                    self._image[path] = content

    def restore(self, directory: Path) -> None:
        """Write what the disk holds after the cut into an empty directory."""
        directory.mkdir()
        for path, content in self._image.items():
            file = directory / Path(path).name
            file.touch(0o600)
            file.write_bytes(content)

    def _content_after_cut(self, path: str) -> bytes | None:
        here, removed = self._files.get(path), self._removed.get(path)
        if here is not None and here.named:
            return here.after_cut(self._rng)
        chosen = self._rng.choice([here, removed])
        return None if chosen is None else chosen.after_cut(self._rng)

    # What SQLite asks for

    def opened(self, path: str, *, is_database: bool) -> None:
        with self._lock:
            self._files.setdefault(path, _File(named=is_database))  # the database was made by its owner before

    def changed(self, path: str, name: str, change: _Change) -> None:
        self._before(name, _suffix_of(path))
        with self._lock:
            self._operate(name, path)
            self._files[path].pending.append(change)

    def synced(self, path: str) -> None:
        self._before("sync", _suffix_of(path))
        with self._lock:
            self._operate("sync", path)
            file = self._files[path]
            for change in file.pending:
                change.apply(file.durable)
            file.pending.clear()
            if not file.named:  # with the first sync of a log or journal SQLite syncs its directory
                file.named = True
                self._removed.clear()

    def deleted(self, path: str, *, is_synced: bool) -> None:
        with self._lock:
            self._operate("delete", path)
            file = self._files.pop(path, None)
            if is_synced:
                self._removed.clear()
            elif file is not None and file.named:
                self._removed[path] = file

    def read(self) -> None:
        if self.is_off:
            raise apsw.exception_for(apsw.SQLITE_IOERR_READ)

    def _operate(self, name: str, path: str) -> None:
        number, suffix = next(self._numbers), _suffix_of(path)
        if self._cut_in in (None, suffix) and next(self._counted) == self._cut_at:
            self.cut()
        if self.is_off:
            raise apsw.exception_for(apsw.SQLITE_IOERR)
        if (code := self._fault(Operation(number, name, suffix))) is not None:
            raise apsw.exception_for(code)


def _suffix_of(path: str) -> str:
    return Path(path).name.partition("-")[2]


class _OpenFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)
        disk.opened(self._path, is_database=bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB))

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.read()
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.changed(self._path, "write", _Change(offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.changed(self._path, "truncate", _Change(newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.synced(self._path)  # the real file is not synced: its power stays on


class _Vfs(apsw.VFS):
    def __init__(self, disk: FaultyDisk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: Any, flags: list[int]) -> _OpenFile:
        return _OpenFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.deleted(filename, is_synced=syncdir)
        super().xDelete(filename, syncdir)


class Load(Protocol):
    """What is written until the power goes, and what must be there afterwards."""

    async def open(self, path: Path, *, vfs: str = "", synchronous: str = "FULL") -> None:
        """Raises: StoreError."""

    async def work(self) -> None:
        """Write until nothing works any more, or until there is enough. Raises: StoreError."""

    async def close(self) -> None: ...

    async def missing(self) -> Sequence[str]:
        """What is not as it was acknowledged, after `open` on what the disk held."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What the cut of a seed cost."""

    seed: int
    what: Sequence[str]


async def cut_power(
    load: Load, directory: Path, seed: int, *, operations: int, cut_in: str | None = None, synchronous: str = "FULL"
) -> Loss | None:
    """Cut the power somewhere within so many operations of a load; what was lost, None when nothing was.

    With `cut_in` only operations of the file of that suffix count. `directory` has to be new. A database that cannot be
    opened afterwards is a loss as well.
    """
    directory.mkdir()
    cut_at = random.Random(seed).randrange(operations)
    with FaultyDisk(seed, cut_at=cut_at, cut_in=cut_in).mounted() as disk:
        try:
            await load.open(directory / "hub.db", vfs=disk.vfs, synchronous=synchronous)
            await load.work()
        except StoreError:
            pass
        disk.cut()
        await load.close()
    disk.restore(directory / "after")
    try:
        await load.open(directory / "after" / "hub.db", synchronous="OFF")  # this disk is in order
        missing = list(await load.missing())
    except StoreError as error:
        missing = [str(error)]
    finally:
        await load.close()
    return Loss(seed, missing) if missing else None


def cuts(
    load: Callable[[random.Random], Load],
    directory: Path,
    seeds: range,
    *,
    operations: int,
    cut_in: str | None = None,
    synchronous: str = "FULL",
) -> list[Loss]:
    """The losses of a cut for each seed, one after the other."""

    async def each() -> list[Loss]:
        found = []
        for seed in seeds:
            loss = await cut_power(
                load(random.Random(seed)),
                directory / f"{seed}",
                seed,
                operations=operations,
                cut_in=cut_in,
                synchronous=synchronous,
            )
            if loss is not None:
                found.append(loss)
        return found

    return asyncio.run(each())
