"""How long a source of Kafka waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time."""

    idle_wait: float = 1.0
    """How long `receive` waits for a first message."""
    poll: float = 0.5
    """How long one question for records is left standing. A full source asks as often, so that its group keeps it."""
    commit_every: float = 5.0
    """Between two notes to the broker of how far this group is; only tools that show the lag read them."""
    backlog_age: float = 1.0
    """How long one count of what waits answers `backlog`."""
    request: float = 15.0
    """For one request to be answered, connecting included."""
    close: float = 5.0
    """For leaving the group in good order, and as long again for closing the connections."""
    join: float = 60.0
    """Beyond the time that the group allows for a rebalance, until one that does not end counts as a loss."""
    max_poll: float = 300.0
    """After which aiokafka takes leave of the group for a process that has asked for no record: a full source asks on."""
