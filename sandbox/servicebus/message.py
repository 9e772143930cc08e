"""A message in a queue: its content, and what the broker knows of it."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from uuid import UUID

from sandbox.servicebus.amqp.types import Int, Symbol, Timestamp
from sandbox.servicebus.content import Content

_SEQUENCE_NUMBER = Symbol("x-opt-sequence-number")
_ENQUEUED_TIME = Symbol("x-opt-enqueued-time")
_ENQUEUE_SEQUENCE_NUMBER = Symbol("x-opt-enqueue-sequence-number")
_MESSAGE_STATE = Symbol("x-opt-message-state")
_LOCKED_UNTIL = Symbol("x-opt-locked-until")


class State(IntEnum):
    """As `x-opt-message-state` tells it; a locked message is active or deferred still."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(slots=True, eq=False)
class SessionLock:
    """Who holds it has a session's messages to himself until `locked_until`, in milliseconds since 1970."""

    session_id: str
    locked_until: int
    messages: "dict[UUID, Message]" = field(default_factory=dict)
    lost: bool = False


@dataclass(slots=True, eq=False)
class Message:
    """Instants are milliseconds since 1970. `delivery_count` is how many deliveries have failed.

    A message of a session is locked as long as its session is.
    """

    content: Content
    sequence_number: int
    enqueued_at: int
    state: State = State.ACTIVE
    expires_at: int | None = None
    delivery_count: int = 0
    lock_token: UUID | None = None
    locked_until: int = 0
    session_lock: SessionLock | None = None

    @property
    def lock_end(self) -> int:
        """When the lock runs out, if it is not renewed."""
        return self.locked_until if self.session_lock is None else self.session_lock.locked_until

    def encode(self) -> bytes:
        """The message as a client gets it."""
        annotations: dict[Symbol, Any] = {
            _SEQUENCE_NUMBER: self.sequence_number,
            _ENQUEUED_TIME: Timestamp(self.enqueued_at),
            _ENQUEUE_SEQUENCE_NUMBER: self.sequence_number,
            _MESSAGE_STATE: Int(self.state),
        }
        if self.lock_token is not None:
            annotations[_LOCKED_UNTIL] = Timestamp(self.lock_end)
        return self.content.encode(delivery_count=self.delivery_count, annotations=annotations)
