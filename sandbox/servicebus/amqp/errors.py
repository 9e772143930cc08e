"""What may be wrong with a peer's bytes or wishes.

AmqpError           the peer is refused with a condition; whoever talks to it says so on the wire
└── DecodeError     the bytes are not AMQP: the connection is of no use any more
"""

from sandbox.servicebus.amqp.types import Symbol


class AmqpError(Exception):
    """A refusal as it goes out: `condition` is one of the standard (part 2.8.15 to 2.8.18) or of Service Bus."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = Symbol(condition)
        self.description = description


class DecodeError(AmqpError):
    """Bytes that are not what the standard says."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)
