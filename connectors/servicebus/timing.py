"""How long a source of Service Bus waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time."""

    idle_wait: float = 1.0
    """How long `receive` waits for a first message."""
    backlog_age: float = 5.0
    """How long one count of the entity answers `backlog`."""
    tick: float = 1.0
    """Between two looks for locks to be renewed."""
    settle: float = 20.0
    """For the answer to settlements; the SDK itself waits a minute and then asks again in another way."""
    probe: float = 10.0
    """For the answer to the question whether the silence of the broker is one."""
    first_wait: float = 1.0
    """How long the first requests for a session wait, so that connecting soon knows whether they are answered."""
    session_answer: float = 15.0
    """Beyond its own waiting time, after which a request for a session counts as lost."""
    session_turn: float = 60.0
    """After this time a session that never goes idle makes place for others, which would else never be served."""
