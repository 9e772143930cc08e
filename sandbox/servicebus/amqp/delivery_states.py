"""What becomes of a delivery (part 3, section 4), and how an error is told (part 2, section 8.14)."""

from typing import Any

from sandbox.servicebus.amqp.errors import AmqpError
from sandbox.servicebus.amqp.types import Described, ULong

ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
_ERROR = 0x1D


def accepted() -> Described:
    """Done."""
    return Described(ULong(ACCEPTED), [])


def rejected(error: AmqpError | None = None) -> Described:
    """Not to be tried again in this form."""
    return Described(ULong(REJECTED), [None if error is None else described_error(error)])


def modified(*, delivery_failed: bool, undeliverable_here: bool) -> Described:
    """Given back with remarks."""
    return Described(ULong(MODIFIED), [delivery_failed, undeliverable_here, None])


def described_error(error: AmqpError) -> Described:
    """An error with condition, description and an empty info map: some clients want all three."""
    return Described(ULong(_ERROR), [error.condition, error.description, {}])


def field(state: Described, index: int) -> Any:
    """One field of a state, None where the peer has left it out."""
    fields = state.value if isinstance(state.value, list) else []
    return fields[index] if index < len(fields) else None
