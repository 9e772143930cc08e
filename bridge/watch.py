"""Notices that a configuration has changed."""

import hashlib
from pathlib import Path

from rules.document import files_of


class ConfigWatch:
    """Looks at a file, or at all of a directory, by content: whoever writes it, and also where a link is swapped as
    Kubernetes does with mounted configuration."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._applied = self._last = fingerprint(path)

    def changed(self) -> bool:
        """Whether it differs from what was last told of, and has not changed since the last call.

        So a file that is being written is not read half way; call it every second or so.
        """
        now = fingerprint(self._path)
        settled, self._last = now == self._last, now
        if not settled or now == self._applied:
            return False
        self._applied = now
        return True


def fingerprint(path: Path) -> str:
    """Twelve hex digits that tell one configuration from another; they go into logs and dead letters."""
    digest = hashlib.sha256()
    for file in files_of(path):
        try:
            content = file.read_bytes()
        except OSError as error:  # gone this moment, or not ours to read: `check` will say so
            content = type(error).__name__.encode()
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
