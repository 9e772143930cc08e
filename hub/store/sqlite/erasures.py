"""Who was erased: a file beside the store that only grows, so that a restored copy forgets them again.

It holds no id, but a keyed hash of each; the key is the file's first line. A line is written before the erasure, so one
that a crash cut short is made again with the next try, and by a restore in any case.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from hub.errors import StoreError
from hub.store.files import create_private

_KEY_BYTES = 16


class Erasures:
    """Of the store whose database is at a path. For all threads."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.erased")
        self._lock = threading.Lock()
        self._known: tuple[bytes, frozenset[str]] | None = None

    def note(self, people: Iterable[str]) -> None:
        """Write that these are erased, durably, before they are. Raises: StoreError."""
        try:
            with self._lock:
                key, _ = self._read()
                with self._path.open("ab") as file:
                    file.write(b"\n")  # ends a line that a crash cut short
                    file.write(b"".join(f"{_digest(key, person)}\n".encode() for person in people))
                    file.flush()
                    os.fsync(file.fileno())
                self._known = None
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot write {self._path}: {error}") from error

    def has(self, person: str) -> bool:
        """Whether the person was erased at any time. Raises: StoreError."""
        with self._lock:
            if self._known is None:
                if not self._path.exists():
                    return False
                try:
                    key, digests = self._read()
                except (OSError, ValueError) as error:
                    raise StoreError(f"cannot read {self._path}: {error}") from error
                self._known = key, frozenset(digests)
            key, known = self._known
        return _digest(key, person) in known

    def _read(self) -> tuple[bytes, list[str]]:
        """The key, made with the file when there is none, and the hashes; half a line at the end is none."""
        lines = self._path.read_bytes().split(b"\n") if self._path.exists() else [b""]
        if len(lines) > 1:
            return bytes.fromhex(lines[0].decode()), [line.decode() for line in lines[1:-1]]
        create_private(self._path)
        key = secrets.token_bytes(_KEY_BYTES)
        self._path.write_bytes(f"{key.hex()}\n".encode())
        return key, []


def _digest(key: bytes, person: str) -> str:
    return hashlib.blake2b(person.encode(), key=key, digest_size=16).hexdigest()
