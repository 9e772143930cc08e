"""Notices that a configuration has changed."""

import hashlib
from pathlib import Path

from rules.document import Paths, files_of


class ConfigWatch:
    """Looks at a file, or at all of a directory, by content, so that a link which is swapped is a change as well:
    Kubernetes does so with mounted configuration. `read` is the fingerprint of what was read last."""

    def __init__(self, path: Paths, *, read: str) -> None:
        self._path = path
        self.read = self._last = read

    def changed(self) -> bool:
        """Whether it differs from what was read last, and has not changed since the last call.

        So a file that is being written is not read half way; call it every second or so.
        """
        now = fingerprint(self._path)
        settled, self._last = now == self._last, now
        return settled and now != self.read


def fingerprint(path: Paths) -> str:
    """Twelve hex digits that tell one configuration from another; they go into logs and dead letters.

    Taken before the configuration is read, so that whatever changes from then on is a change.
    """
    digest = hashlib.sha256()
    try:
        files = files_of(path)
    except OSError:
        files = [path] if isinstance(path, Path) else list(path)
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:  # gone this moment, or not ours to read: `check` will say so
            content = type(error).__name__.encode()
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
