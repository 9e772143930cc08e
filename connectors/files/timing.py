"""How long a source that reads files waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time."""

    idle_wait: float = 1.0
    """How long `receive` waits for a first record."""
    request: float = 30.0
    """For the file system to answer. A mount that is silent for longer is given up."""
    close: float = 5.0
    """For open files to be closed."""
