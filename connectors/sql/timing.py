"""How long a source that reads a table waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time."""

    idle_wait: float = 1.0
    """How long `receive` waits for a first row."""
    backlog_age: float = 5.0
    """How long one count of the rows that wait answers `backlog`: a database counts row by row."""
    connect: float = 10.0
    """For the database to accept a connection."""
    lock: float = 5.0
    """How long a statement waits for a lock of another session."""
    request: float = 25.0
    """For one statement to be answered. A connection that is silent for longer is given up."""
    close: float = 5.0
    """For the connection to end in good order."""
    silence: float = 60.0
    """After which the database takes a session of ours that says nothing for dead, and lets go of the rows it has claimed.
    A session that lives counts what waits every few seconds."""
