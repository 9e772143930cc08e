"""Who was erased: a file beside the store that only grows, so that a restored copy forgets them again.

It holds no id, but a keyed hash of each; the key is the file's first line. A line is a hash and a mark of that erasure
alone, and is written before the erasure is done. The store keeps the marks of what it has done, and a copy of it does: so
a restore knows which erasures came later, and does not take a person for erased who came back before the copy was made.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Collection, Set
from dataclasses import dataclass
from pathlib import Path

from hub.errors import StoreError
from hub.store.files import create_private
from hub.store.people.people import Noted

SUFFIX = ".erased"
"""Of the file, behind the name of the database."""

_KEY_BYTES, _DIGEST_BYTES, _MARK_BYTES = 16, 16, 8


@dataclass(frozen=True, slots=True)
class LaterErasures:
    """Erasures that a store has not done; `marks` are theirs."""

    key: bytes
    digests: Set[str]
    marks: Collection[bytes]

    def digest_of(self, person: str) -> str | None:
        digest = _digest(self.key, person)
        return digest if digest in self.digests else None


class Erasures:
    """Of the store whose database is at a path; persons are named by their keys. For all threads. Raises: StoreError."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}{SUFFIX}")
        self._lock = threading.Lock()

    def note(self, person: str) -> Noted:
        """Write durably that a person is erased, before that is done."""
        try:
            with self._lock:
                key = self._key()
                noted = Noted(_digest(key, person), secrets.token_bytes(_MARK_BYTES))
                with self._path.open("ab") as file:
                    # The first line break ends a line that a crash cut short.
                    file.write(f"\n{noted.digest} {noted.mark.hex()}\n".encode())
                    file.flush()
                    os.fsync(file.fileno())
                return noted
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot write {self._path}: {error}") from error

    def later_than(self, done: Set[bytes]) -> LaterErasures:
        """Those whose marks are not among these."""
        if not self._path.exists():
            return LaterErasures(b"", frozenset(), ())
        try:
            key, lines = self._read()
            pairs = [(digest, bytes.fromhex(mark)) for digest, mark in lines]
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read {self._path}: {error}") from error
        later = [(digest, mark) for digest, mark in pairs if mark not in done]
        return LaterErasures(key, frozenset(digest for digest, _ in later), [mark for _, mark in later])

    def _key(self) -> bytes:
        """Of the file, which is made where it is missing, or was cut short in being made."""
        if self._path.exists() and b"\n" in self._path.read_bytes()[: 2 * _KEY_BYTES + 1]:
            return self._read()[0]
        create_private(self._path)
        key = secrets.token_bytes(_KEY_BYTES)
        self._path.write_bytes(f"{key.hex()}\n".encode())
        _sync(self._path.parent)
        return key

    def _read(self) -> tuple[bytes, list[tuple[str, str]]]:
        """The key, and hash and mark of each line that is whole."""
        first, *lines = self._path.read_bytes().decode().split("\n")
        length = 2 * (_DIGEST_BYTES + _MARK_BYTES) + 1
        whole = [line.partition(" ") for line in lines if len(line) == length]
        return bytes.fromhex(first), [(digest, mark) for digest, _, mark in whole]


def _digest(key: bytes, person: str) -> str:
    return hashlib.blake2b(person.encode("utf-8", "surrogatepass"), key=key, digest_size=_DIGEST_BYTES).hexdigest()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
