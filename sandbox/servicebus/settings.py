"""What can be chosen when an entity is created, with the defaults of Azure's Standard tier.

All durations are milliseconds, as on the wire; None is "for ever".
"""

from dataclasses import dataclass, field
from typing import Literal

from sandbox.servicebus.errors import InvalidEntityError

Status = Literal["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]

MAX_MESSAGE_SIZE = 262_144
"""Bytes, as in the Standard tier."""

MAX_LOCK_DURATION = 5 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Of a queue or of a subscription, which is a queue behind rules.

    `details` are further settings that are kept and told, but change nothing here.
    """

    lock_duration: int = 60_000
    max_delivery_count: int | None = 10
    time_to_live: int | None = None
    dead_letter_on_expiration: bool = False
    requires_session: bool = False
    status: Status = "Active"
    details: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what Azure refuses, but for the shortest lock: tests want shorter ones than its five seconds."""
        if not 0 < self.lock_duration <= MAX_LOCK_DURATION:
            raise InvalidEntityError(f"a lock is held for up to {MAX_LOCK_DURATION} ms, not for {self.lock_duration}")
        if self.max_delivery_count is not None and not 1 <= self.max_delivery_count <= 2000:
            raise InvalidEntityError(f"MaxDeliveryCount is 1 to 2000, not {self.max_delivery_count}")
        _check_time_to_live(self.time_to_live)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """Of a topic; `details` as with queues."""

    time_to_live: int | None = None
    status: Status = "Active"
    details: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_time_to_live(self.time_to_live)


def _check_time_to_live(milliseconds: int | None) -> None:
    if milliseconds is not None and milliseconds < 1:
        raise InvalidEntityError(f"a message lives for at least a millisecond, not for {milliseconds}")
