"""What can be said of a store's file and its disk without being its owner; works while a daemon has it open."""

import os
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apsw

from hub.errors import StoreError
from hub.store.findings import Finding, Health
from hub.store.sqlite.database import MINIMUM_VERSION, sqlite_version
from hub.store.sqlite.errors import store_error
from hub.store.sqlite.lock import is_locked
from hub.store.sqlite.looking import damage_in, look_at
from hub.store.sqlite.migrate import look_for_parts, shipped_versions, version_of
from hub.store.sqlite.volume import LOST_WITH, VOLUME_WARNINGS, Volume, VolumeKind, refusal, volume_of

_MIB = 1024 * 1024
_LITTLE_SPACE, _NO_SPACE = 1024 * _MIB, 64 * _MIB
_SLOW_SYNC, _TOO_FAST_SYNC = 0.05, 20e-6
"""Seconds: a slow disk bounds the events per second; no disk that keeps what it is given is faster than the other."""
_SYNCS = 20
_READING = 5.0
"""Seconds that pages are read for damage, at most."""
_PAGE = 4096


def examine(path: Path, *, allow_ephemeral: bool, must_last: bool = False) -> list[Finding]:
    """All findings, in the order in which they matter; what cannot be looked at is a finding that failed."""
    path = path.resolve()
    looks: Sequence[tuple[str, Callable[[], Finding]]] = (
        ("sqlite", _version),
        ("file system", lambda: _file_system(volume_of(path), allow_ephemeral=allow_ephemeral, must_last=must_last)),
        ("free space", lambda: _free_space(path)),
        ("fsync", lambda: _fsync(path)),
        ("file modes", lambda: _modes(path)),
        ("lock", lambda: _lock(path)),
        ("schema", lambda: _schema(path)),
        ("pages", lambda: _pages(path)),
    )
    return [_look(name, look) for name, look in looks]


def _look(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except PermissionError as error:
        return _failed(name, str(error), "run doctor as the user that runs the daemon")
    except apsw.ReadOnlyError:
        return _ok(name, "not looked at: what a process that died had begun is undone when the daemon starts")
    except OSError as error:
        return _failed(name, str(error), "name a file on a disk that works in bridge.store.url")
    except apsw.Error as error:
        return _failed(name, str(store_error(error)), "restore the database from a backup")
    except StoreError as error:
        return _failed(name, str(error), "name another file in bridge.store.url, or restore a backup")


def _ok(name: str, text: str) -> Finding:
    return Finding(name=name, health=Health.OK, text=text)


def _warning(name: str, text: str, cure: str) -> Finding:
    return Finding(name=name, health=Health.WARNING, text=text, cure=cure)


def _failed(name: str, text: str, cure: str) -> Finding:
    return Finding(name=name, health=Health.FAILED, text=text, cure=cure)


def _version() -> Finding:
    text = f"SQLite {apsw.sqlite_lib_version()}"
    if sqlite_version() < MINIMUM_VERSION:
        return _failed("sqlite", f"{text} can lose commits", "install a newer apsw: pip install --upgrade apsw")
    return _ok("sqlite", text)


def _file_system(volume: Volume, *, allow_ephemeral: bool, must_last: bool) -> Finding:
    text = f"{volume.file_system or 'unknown'} at {volume.mount or 'an unknown mount'}"
    if refused := refusal(volume, allow_ephemeral=allow_ephemeral, must_last=must_last):
        _, _, cure = refused.partition(": ")
        return _failed("file system", f"{text}, lost with {LOST_WITH[volume.kind]}", cure)
    if volume.kind is VolumeKind.MEMORY:
        return _warning("file system", f"{text}, lost with the machine", "unset bridge.store.allow_ephemeral")
    if (warning := VOLUME_WARNINGS.get(volume.kind)) is not None:
        what, _, cure = warning.rpartition(": ")
        return _warning("file system", f"{text}: {what}", cure)
    return _ok("file system", text)


def _free_space(path: Path) -> Finding:
    usage = shutil.disk_usage(_directory_of(path))
    text = f"{usage.free / _MIB:,.0f} MiB free of {usage.total / _MIB:,.0f} MiB"
    if usage.free < _NO_SPACE:
        return _failed("free space", text, "make room: a full disk refuses every event")
    if usage.free < _LITTLE_SPACE:
        return _warning("free space", text, "make room: a full disk refuses every event")
    return _ok("free space", text)


def _fsync(path: Path) -> Finding:
    times = _sync_times(_directory_of(path))
    middle, longest = statistics.median(times), max(times)
    text = f"{middle * 1000:.2f} ms in the middle, {longest * 1000:.2f} ms at most, of {_SYNCS}"
    if middle > _SLOW_SYNC:
        return _warning("fsync", text, "use a faster disk: each group of events waits for one fsync")
    if middle < _TOO_FAST_SYNC:
        return _warning(
            "fsync", f"{text}: faster than a disk", "use a disk that keeps what it is given when power fails"
        )
    return _ok("fsync", text)


def _sync_times(directory: Path) -> list[float]:
    """Seconds of each write of a page with its fsync, in a file that is removed again."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_SYNCS):
            file.write(bytes(_PAGE))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return times


def _modes(path: Path) -> Finding:
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return _failed(
            "file modes", f"this user may not write to {path}", "run doctor and daemon as the user that owns it"
        )
    open_to_others = [
        f"{file} is {stat.S_IMODE(file.stat().st_mode):04o}"
        for file in _files_of(path)
        if stat.S_IMODE(file.stat().st_mode) & 0o077
    ]
    if open_to_others:
        return _warning("file modes", ", ".join(open_to_others), "chmod 600; the daemon does so when it starts")
    return _ok("file modes", "for their owner alone" if path.exists() else "there is no file yet")


def _files_of(path: Path) -> Iterator[Path]:
    for suffix in ("", "-wal", "-shm"):
        if (file := path.with_name(path.name + suffix)).exists():
            yield file


def _lock(path: Path) -> Finding:
    if not path.exists():
        return _ok("lock", "there is no file yet")
    return _ok("lock", "a daemon has the database open" if is_locked(path) else "free: no daemon has it open")


def _schema(path: Path) -> Finding:
    newest = shipped_versions()[-1].number
    if not path.exists():
        return _ok("schema", f"there is no file yet; version {newest} will be made")
    version, readable_from = look_at(path, version_of)
    if readable_from > newest:
        return _failed("schema", f"version {version}, newer than {newest}", "run the newer pushbridge")
    if version < newest:
        return _ok("schema", f"version {version}, which becomes {newest} when the daemon starts")
    if version == newest:
        look_at(path, lambda connection: look_for_parts(connection, shipped_versions()))
    return _ok("schema", f"version {version}")


def _pages(path: Path) -> Finding:
    if not path.exists():
        return _ok("pages", "there is no file yet")
    try:
        damage = look_at(path, lambda connection: damage_in(connection, seconds=_READING))
    except apsw.InterruptError:
        return _ok("pages", f"no damage found in {_READING:g} s; what lies behind was not read")
    if damage:
        return _failed("pages", f"damaged: {damage}", "stop the daemon and restore the database from a backup")
    return _ok("pages", "no damage found")


def _directory_of(path: Path) -> Path:
    """The nearest that is there."""
    directory = path.parent
    while not directory.exists():
        directory = directory.parent
    return directory
