"""Notices that a configuration has changed."""

import hashlib
from pathlib import Path

from rules.document import Paths, files_of
from rules.read_files import ReadFiles


class ConfigWatch:
    """Looks at a file, or at all of a directory, by content, so that a link which is swapped is a change as well:
    Kubernetes does so with mounted configuration. `read` is the fingerprint of what was read last, and `files` are the
    secrets and certificates that it named: they are watched too, and have no part in the fingerprint."""

    def __init__(self, path: Paths, *, read: str, files: ReadFiles) -> None:
        self._path = path
        self._take(read, files)

    def renew(self) -> ReadFiles:
        """Look at everything anew; returns what is to be told of the files that are read from now on."""
        self._take(fingerprint(self._path), ReadFiles())
        return self._files

    def _take(self, read: str, files: ReadFiles) -> None:
        self.read, self._files = read, files
        self._last = read, files.as_now()

    def changed(self) -> bool:
        """Whether it differs from what was read last, and has not changed since the last call.

        So a file that is being written is not read half way; call it every second or so.
        """
        now = fingerprint(self._path), self._files.as_now()
        settled, self._last = now == self._last, now
        return settled and now != (self.read, self._files.as_read)


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
