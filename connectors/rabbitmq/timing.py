"""How long a source of RabbitMQ waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of real time."""

    idle_wait: float = 1.0
    """How long `receive` waits for a first message."""
    backlog_age: float = 1.0
    """How long one count of the queue answers `backlog`."""
    open: float = 10.0
    """For TCP, TLS and AMQP together; `blocked_connection_timeout` does not bound connecting."""
    close: float = 3.0
    """For an orderly end; after this time the socket is closed as it is."""
