"""The daemon on a host whose clock is set: `python -m tests.integration.settable_clock run CONFIG`.

The file `clock` beside the configuration has the seconds by which the time of day is off, and is read again and again. The
books are looked through each second, and what is past its time is forgotten each second.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_wall = time.time
_offset = (0.0, 0.0)
"""The seconds, and when the file was looked at."""


def set_clock(directory: Path, seconds: float) -> None:
    """Set the clock of a daemon with its configuration in this directory."""
    written = directory / "clock.new"
    written.write_text(f"{seconds}")
    written.replace(directory / "clock")


class HostTime:
    """The time of day of the push services and of a daemon's next start, by one offset."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offset = timedelta()

    def set(self, offset: timedelta) -> None:
        self._offset = offset
        set_clock(self._directory, offset.total_seconds())

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._offset


def _settable() -> float:
    global _offset
    if time.monotonic() - _offset[1] > 0.05:
        _offset = (float(_file.read_text()) if _file.exists() else 0.0, time.monotonic())
    return _wall() + _offset[0]


if __name__ == "__main__":
    _file = Path(sys.argv[2]).parent / "clock"
    time.time = _settable  # before the modules that keep it as a default
    import hub.delivery.dispatch as dispatch

    def each_second(function: Any, name: str) -> None:
        function.__kwdefaults__[name] = 1.0

    each_second(dispatch.Timing.__init__, "books_every")  # before the modules that make one as a default
    from bridge.cli.main import main
    from bridge.housekeeping import Housekeeping

    each_second(Housekeeping.__init__, "every")
    main()
