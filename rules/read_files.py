"""The files that a configuration names, such as secrets and certificates: whether one has changed since it was read."""

from pathlib import Path

_Signature = tuple[int, int, int] | None


class ReadFiles:
    """Knows each file as it was when it was read the first time, also one that was not there.

    A link that is swapped, as Kubernetes does with mounted secrets, is a change of what it leads to.
    """

    def __init__(self) -> None:
        self._read: dict[Path, _Signature] = {}

    def add(self, file: Path) -> None:
        """Call it before the file is read: what changes from then on is a change."""
        if file not in self._read:
            self._read[file] = _signature(file)

    @property
    def as_read(self) -> tuple[_Signature, ...]:
        """What tells the files as they were read from any others."""
        return tuple(self._read.values())

    def as_now(self) -> tuple[_Signature, ...]:
        """The same, as the files are now."""
        return tuple(map(_signature, self._read))


def _signature(file: Path) -> _Signature:
    try:
        found = file.stat()
    except (OSError, ValueError):  # not there, not ours to see, or no name of a file
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
