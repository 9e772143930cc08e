"""Files of a directory: which are complete, how one becomes ours, and its records one after the other.

Everything here blocks, and is called in one thread.
"""

import fcntl
import logging
import os
import signal
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from connectors.errors import NotConnectedError, TopologyError
from connectors.files.settings import FilesSettings

_log = logging.getLogger("pushbridge")

WORK = ".pushbridge"
"""Where files are that are ours, below the directory where they came."""

FAILED = "failed"
"""Where files go of which a record could not be read whole, below `WORK`."""

_UNFINISHED = (".tmp", ".part", ".filepart")
_ID = 16
_PIECE = 64 * 1024
_LONGEST = 2.0
"""Seconds that lines are read or passed over at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of a file. `number` counts from 0; `unreadable` is as that of a message."""

    number: int
    body: bytes
    unreadable: str = ""


class ClaimedFile:
    """A file that is ours until it is closed: its lock goes with the process, its name in `WORK` stays.

    `id` was given when it was claimed, so that a file of the same name that comes later is another one. `is_old` says
    that an earlier process may have read some of it.
    """

    def __init__(self, file: BinaryIO, path: Path, *, settings: FilesSettings, max_body: int, is_old: bool) -> None:
        self.path = path
        self.id, _, self.name = path.name.partition(".")
        self.is_old = is_old
        self.at_end = False
        self.has_failed = False
        about = os.fstat(file.fileno())
        self.size = about.st_size
        self.modified = datetime.fromtimestamp(about.st_mtime, UTC)
        self._file = file
        self._settings = settings
        self._max_body = max_body
        self._next = 0

    def read(self, limit: int, *, beginning: int) -> list[Record]:
        """Up to `limit` records from the number `beginning` on, after those that were read; maybe none so far.

        Raises: OSError.
        """
        found: list[Record] = []
        ends_at = time.monotonic() + _LONGEST
        while len(found) < limit and not self.at_end and time.monotonic() < ends_at:
            record = self._whole() if self._settings.records == "file" else self._line()
            if record is not None and record.number >= beginning:
                found.append(record)
        return found

    def has_grown(self) -> bool:
        """Whether somebody wrote to the file after it was taken for complete; what was added is to be read too."""
        if os.fstat(self._file.fileno()).st_size <= self._file.tell():
            return False
        if self._settings.records == "file":
            self.has_failed = True
            return False
        self.at_end = False
        return True

    def close(self) -> None:
        self._file.close()

    def _whole(self) -> Record:
        self.at_end = True
        body = self._file.read(self._max_body + 1)
        self._next += 1
        if len(body) <= self._max_body:
            return Record(number=0, body=body)
        return self._too_large(0, body, f"a file of {self.size} bytes")

    def _line(self) -> Record | None:
        """None for an empty line, one that is passed over, and the end."""
        line = self._file.readline(self._max_body + 2)  # with its end, which is of two bytes at most
        if not line:
            self.at_end = True
            return None
        number, self._next = self._next, self._next + 1
        body = line.removesuffix(b"\n").removesuffix(b"\r")
        is_cut = not line.endswith(b"\n") and len(line) == self._max_body + 2
        while is_cut and (rest := self._file.readline(_PIECE)):
            is_cut = not rest.endswith(b"\n")
        if number < self._settings.skip or not body:
            return None
        if len(body) > self._max_body:
            return self._too_large(number, body, f"line {number + 1}")
        return Record(number=number, body=body)

    def _too_large(self, number: int, body: bytes, what: str) -> Record:
        self.has_failed = True
        why = f"{what} is more than the {self._max_body} bytes of decode.max_body; the file is kept in {WORK}/{FAILED}"
        return Record(number=number, body=body[: self._max_body], unreadable=why)


class Directory:
    """One directory, with the files of it that are ours."""

    def __init__(self, name: str, settings: FilesSettings, *, max_body: int) -> None:
        self._name = name
        self._settings = settings
        self._max_body = max_body
        self._work = settings.path / WORK
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}  # identity, size and time of change; since when
        self._warned: set[str] = set()
        self._identity = (0, 0)

    def open(self) -> None:
        """Raises: TopologyError, NotConnectedError."""
        settings = self._settings
        try:
            self._identity = _identity(settings.path)
            self._work.mkdir(exist_ok=True)
            (self._work / FAILED).mkdir(exist_ok=True)
            for directory in filter(None, (settings.path, self._work, settings.move_to)):
                if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                    raise TopologyError(f"{self._name}: {directory} may not be read and written by this user")
            if settings.move_to is not None and settings.move_to.stat().st_dev != self._identity[0]:
                raise TopologyError(f"{self._name}: {settings.move_to} is on another file system than {settings.path}")
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise TopologyError(f"{self._name}: {error.filename}: {error.strerror}") from error
        except OSError as error:
            raise NotConnectedError(f"{self._name}: {error}") from error

    def claim(self, limit: int, ours: Sequence[str]) -> list[ClaimedFile]:
        """Up to `limit` files that are ours now and were not before, those of an ended process first.

        Raises: NotConnectedError: the directory is away, or another one has its name.
        """
        try:
            if _identity(self._settings.path) != self._identity:
                raise NotConnectedError(f"{self._name}: {self._settings.path} is another directory now")
            found: list[ClaimedFile] = []
            for path in self._left(ours):
                if len(found) < limit and (file := self._open(path, is_old=True)) is not None:
                    found.append(file)
            is_renamed = False
            for path in self._complete() if len(found) < limit else ():
                if len(found) < limit and (file := self._open(path, is_old=False)) is not None:
                    found.append(file)
                    is_renamed = True
            if is_renamed:  # a file that had its old name again, after the power was lost, would be another one
                _sync(self._work, self._settings.path)
        except OSError as error:
            raise NotConnectedError(f"{self._name}: {error}") from error
        return found

    def finish(self, files: Sequence[ClaimedFile]) -> None:
        """Delete or move files; they are closed. Raises: NotConnectedError."""
        try:
            for file in files:
                if file.has_failed:
                    target = self._work / FAILED / file.path.name
                    _log.warning(
                        "source %s: %s could not be read whole; it is kept as %s", self._name, file.name, target
                    )
                    file.path.rename(target)
                elif self._settings.move_to is not None:
                    target = self._settings.move_to / file.name
                    file.path.rename(target if not target.exists() else target.with_name(f"{file.name}.{file.id}"))
                else:
                    file.path.unlink(missing_ok=True)
                file.close()
            _sync(self._work, *filter(None, [self._settings.move_to]))
        except OSError as error:
            raise NotConnectedError(f"{self._name}: {error}") from error

    def count(self, ours: Sequence[str]) -> int:
        """How many files wait, beside ours. Raises: NotConnectedError."""
        try:
            return sum(1 for _ in self._matching()) + sum(1 for _ in self._left(ours))
        except OSError as error:
            raise NotConnectedError(f"{self._name}: {error}") from error

    def _left(self, ours: Sequence[str]) -> list[Path]:
        """Files that were claimed, by whichever process, but for ours; the oldest first."""
        paths = [Path(each.path) for each in os.scandir(self._work) if each.is_file(follow_symlinks=False)]
        left = [path for path in paths if path.name not in ours and path.name.find(".") == _ID]
        return sorted(left, key=lambda path: (path.lstat().st_mtime_ns, path.name))

    def _matching(self) -> Iterator["os.DirEntry[str]"]:
        for entry in os.scandir(self._settings.path):
            name = entry.name
            is_hidden = name.startswith(".") or name.lower().endswith(_UNFINISHED)
            if not is_hidden and fnmatchcase(name, self._settings.pattern) and entry.is_file(follow_symlinks=False):
                yield entry

    def _complete(self) -> list[Path]:
        """Files that have stayed the same for long enough, the oldest first."""
        now, seen, complete = time.monotonic(), {}, []
        for entry in self._matching():
            with suppress(FileNotFoundError):  # another process was quicker
                about = entry.stat(follow_symlinks=False)
                state = (about.st_ino, about.st_size, about.st_mtime_ns)
                before, since = self._seen.get(entry.name, (None, now))
                seen[entry.name] = (state, since if before == state else now)
                if now - seen[entry.name][1] >= self._settings.settle:
                    complete.append((about.st_mtime_ns, entry.name))
        self._seen = seen
        return [self._settings.path / name for _, name in sorted(complete)]

    def _open(self, path: Path, *, is_old: bool) -> ClaimedFile | None:
        """The file as ours; None if it is another process's, is still written to, or cannot be read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._pass_over(path, str(error.strerror))
            return None
        file = os.fdopen(descriptor, "rb", buffering=_PIECE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or not _is_at(path, about) or (not is_old and _is_written(descriptor)):
                raise BlockingIOError
            name = _readable(path.name)
            target = self._work / (name if is_old else f"{uuid4().hex[:_ID]}.{name}")
            if target != path:
                path.rename(target)
                path = target
        except BlockingIOError:
            file.close()
            return None
        except OSError as error:
            file.close()
            self._pass_over(path, str(error.strerror))
            return None
        return ClaimedFile(file, path, settings=self._settings, max_body=self._max_body, is_old=is_old)

    def _pass_over(self, path: Path, why: str) -> None:
        if path.name not in self._warned:
            self._warned.add(path.name)
            _log.warning("source %s: %s is passed over: %s", self._name, _readable(str(path)), why)


def _readable(name: str) -> str:
    """A name with `?` for each byte that is not UTF-8, as no store, log or event could hold it."""
    return name.encode("utf-8", "replace").decode()


def _identity(path: Path) -> tuple[int, int]:
    about = path.stat()
    if not stat.S_ISDIR(about.st_mode):
        raise NotADirectoryError(20, "not a directory", str(path))
    return about.st_dev, about.st_ino


def _is_at(path: Path, about: os.stat_result) -> bool:
    """Whether the path still names the file that was opened: another process may have ended it meanwhile."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (about.st_dev, about.st_ino)


def _is_written(descriptor: int) -> bool:
    """Whether a process of this machine has the file open for writing, where the system tells (Linux, fcntl(2), leases).

    A lease for reading is refused then. The signal that would break it is one that is ignored.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # a file of another user, or a file system that knows no leases
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _sync(*directories: Path) -> None:
    """Make names durable."""
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
