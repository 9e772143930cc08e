"""The contract of a broker: what comes in, how it is settled, what goes out.

Life of a source: build it (no I/O), `connect`, then `receive` and `settle` as often as wanted, `close`. After any
`NotConnectedError` the same object is closed and connected again; receipts of the earlier connection are then dead, and
settling them is a quiet no-op (the broker has already requeued what they stood for).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol

from hub.frozen import frozen_dataclass

MAX_DEPTH = 64
"""How deep values of a message may be nested: what walks them later may recurse."""


class Settlement(Enum):
    """How one message is settled; the broker's own words stay in its connector."""

    ACK = "ack"  # done: the store has everything the message caused
    NACK = "nack"  # again later: used on shutdown only, never to wait
    REJECT = "reject"  # dead-letter it with the broker's own means


def _never() -> bool:
    return False


class LogPartition(NamedTuple):
    """A partition of a log. `reader` names who reads it: a source and its consumer group."""

    reader: str
    topic: str
    number: int


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as a broker handed it over; the body is untouched bytes.

    `id` is the id the publisher set, or None. `position` is where the broker keeps it (topic/partition/offset, sequence
    number), stable over redeliveries, or None where the broker has no such thing. `properties` are the broker's
    properties by their own names in snake case (message_id, content_type, routing_key, ...), `headers` the
    application's, with the type that the publisher gave them: str, bytes, int, float, bool, None, Decimal, list, dict,
    and times as text (ISO 8601). `unreadable` says which part of the message could not be read and is empty when all
    could be: a message with such a part is a dead letter. `receipt` is for `settle` of the same source only; no
    other part looks into it. `is_lost` says whether the broker has given the message to another consumer (a lock ran
    out, the connection ended): it is asked before work on it is made durable, and a message that is lost is given up,
    as it comes again. One that `is_alone` has an answer of its own; the messages of a batch over HTTP share one, and
    none of them can be refused by itself. `offset` is where a log keeps the message: it is stored with what the message
    causes, and what comes again from before it is a repetition.
    The messages of a partition come by ascending offsets. One that has no body, not even an empty one, is a tombstone: it
    says that what its key names is deleted. `held_back` are the seconds for which the source had been held to its rate when
    the message was taken, as messages waited: the message waited for that at most so long.
    """

    source: str
    body: bytes
    id: str | None = None
    position: str | None = None
    content_type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    enqueued_at: datetime | None = None
    delivery_count: int = 1
    unreadable: str = ""
    receipt: Any = None
    is_lost: Callable[[], bool] = field(default=_never, repr=False, compare=False)
    is_alone: bool = True
    offset: tuple[LogPartition, int] | None = None
    has_body: bool = True
    held_back: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """How to settle a message and, for sources whose sender waits for an answer (HTTP), what became of it.

    `reason` is a value of the closed set of dead-letter reasons, empty when nothing went wrong; `detail` is for people.
    `answer` is JSON-like, for the sender; None where no sender waits.
    """

    settlement: Settlement
    reason: str = ""
    detail: str = ""
    answer: Mapping[str, Any] | None = None


ACK = Disposition(settlement=Settlement.ACK)
NACK = Disposition(settlement=Settlement.NACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutMessage:
    """A message to publish. `destination` is what the publisher routes by (RabbitMQ: the routing key)."""

    id: str
    body: bytes
    destination: str
    content_type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits at the broker, as far as the broker says: messages not yet settled, None when unknown.

    `rebalances` are those in which a group of consumers dealt out its partitions anew, since the source was made.
    """

    messages: int | None = None
    rebalances: int = 0


class StoredOffsets(Protocol):
    """How far logs were accepted, as the store knows it."""

    async def next_offsets(self, partitions: Sequence[LogPartition]) -> Mapping[LogPartition, int]:
        """The next offset of each of these of which something was accepted. Raises: NotConnectedError."""

    async def advance(self, following: Mapping[LogPartition, int]) -> None:
        """All before these offsets was accepted: for messages that have no offset of their own. None moves back.

        Raises: NotConnectedError.
        """

    async def forget(self, partitions: Sequence[LogPartition]) -> None:
        """Know nothing of these: their topic was made again, or has come to its end. Raises: NotConnectedError."""


class Source(Protocol):
    """Where messages come from. One task calls `receive`; `settle` may be called while a `receive` waits.

    `warnings` are for an operator to know of a source that works, such as settings at the broker that differ from those
    configured; they are about the present connection.
    """

    name: str
    warnings: Sequence[str]

    async def connect(self) -> None:
        """Open the connection, create what is missing, start consuming.

        Raises: NotConnectedError, AuthenticationError, TopologyError.
        """

    async def receive(self, limit: int) -> Sequence[Message]:
        """Up to `limit` messages in the order of receipt; waits at most a second or two.

        An empty answer is a healthy heartbeat. The broker never has more than the source's credit outstanding.
        Cancelling loses nothing: what was not returned is returned by the next call, or requeued by `close`.

        Raises: NotConnectedError, SourceClosedError.
        """

    async def settle(self, settled: Sequence[tuple[Message, Disposition]]) -> None:
        """Tell the broker; messages of an earlier connection are passed over.

        Raises: NotConnectedError: assume redelivery of every message not settled.
        """

    async def backlog(self) -> Backlog:
        """What waits at the broker; cheap enough to be asked every few seconds. Raises: NotConnectedError."""

    async def close(self) -> None:
        """Stop consuming and disconnect; unsettled messages go back. May be called twice; never raises."""


class Publisher(Protocol):
    """Where dead letters and receipts go out."""

    async def connect(self) -> None:
        """Raises: NotConnectedError, AuthenticationError, TopologyError."""

    async def publish(self, messages: Sequence[OutMessage]) -> None:
        """Return when the broker has confirmed every message.

        Raises: PublishError: those it names are confirmed; publish the others again under the same ids, though some may
        have arrived. NotConnectedError.
        """

    async def close(self) -> None:
        """May be called twice; never raises."""
