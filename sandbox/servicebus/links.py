"""The two directions of a link (part 2, section 6), and what entities and nodes do with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.amqp.delivery_states import (
    ACCEPTED,
    MODIFIED,
    REJECTED,
    RELEASED,
    accepted,
    field,
    modified,
    rejected,
)
from sandbox.servicebus.amqp.performatives import Disposition, Flow, Transfer
from sandbox.servicebus.amqp.types import Described, UInt
from sandbox.servicebus.content import Content, read_batch, read_content
from sandbox.servicebus.message import Message, SessionLock
from sandbox.servicebus.namespace import Entity
from sandbox.servicebus.pump import QueuePump
from sandbox.servicebus.settings import MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from sandbox.servicebus.session import Session

BATCH_FORMAT = 0x80013700
"""The message format of several messages in one, a number of Microsoft's."""

CREDIT = 1000
LOW_CREDIT = 200


class Node(Protocol):
    """What answers requests: `$cbs`, or the `$management` of an entity."""

    def answer(self, request: Content) -> bytes:
        """The encoded answer to a request."""


class Link(ABC):
    """One link; `path` is what it is attached to, as the client named it."""

    def __init__(self, session: Session, handle: int, path: str) -> None:
        self.session = session
        self.handle = handle
        self.path = path

    @abstractmethod
    def flow(self, flow: Flow) -> None:
        """The client tells where it is on this link."""

    def end(self, error: AmqpError | None) -> None:
        """End it from our side, for this reason."""
        self.session.detach(self, error)

    def wake(self) -> None:  # noqa: B027 most links wait for nothing
        """The session's window has moved."""

    def drop(self) -> None:  # noqa: B027 most links have nothing to give back
        """The link is over, whoever ended it; nothing is said any more."""


class IncomingLink(Link):
    """A link on which the client sends; it always has credit."""

    def __init__(self, session: Session, handle: int, path: str) -> None:
        super().__init__(session, handle, path)
        self._credit = 0
        self._delivery_count = 0
        self._first: Transfer | None = None
        self._payload = bytearray()

    def open(self) -> None:
        """Let the client send."""
        self._credit = CREDIT
        self.session.flow(self, delivery_count=UInt(self._delivery_count), link_credit=UInt(CREDIT))

    def flow(self, flow: Flow) -> None:
        if flow.echo:
            self.open()

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Take a frame of a message."""
        if self._first is None:
            self._first = transfer
        self._payload += payload
        if transfer.more:
            return
        first, message = self._first, bytes(self._payload)
        self._first = None
        self._payload.clear()
        self._credit -= 1
        self._delivery_count = (self._delivery_count + 1) % 2**32
        if not transfer.aborted:
            self._take(first, message)
        if self._credit < LOW_CREDIT and self.session.links.get(self.handle) is self:
            self.open()

    @abstractmethod
    def _take(self, first: Transfer, message: bytes) -> None:
        """Take a whole message, of which `first` was the first frame."""

    def _answer(self, first: Transfer, state: Described) -> None:
        if not first.settled and first.delivery_id is not None:
            self.session.send(Disposition(role=True, first=first.delivery_id, settled=True, state=state))


class EntityLink(IncomingLink):
    """Messages for a queue or a topic."""

    def __init__(self, session: Session, handle: int, path: str, entity: Entity) -> None:
        super().__init__(session, handle, path)
        self._entity = entity

    def _take(self, first: Transfer, message: bytes) -> None:
        faults = self.session.broker.faults
        cut = faults.takes_send_cut()
        if cut is False:
            self.session.connection.abort()
            return
        try:
            faults.strike_send(self.path)
            self._publish(first, message)
        except AmqpError as error:
            if error.condition == conditions.MESSAGE_SIZE_EXCEEDED and faults.oversize == "detach":
                self.end(error)
            else:
                self._answer(first, rejected(error))
            return
        if cut:
            self.session.connection.abort()
        else:
            self._answer(first, accepted())

    def _publish(self, first: Transfer, message: bytes) -> None:
        if len(message) > MAX_MESSAGE_SIZE:
            text = f"a message has up to {MAX_MESSAGE_SIZE} bytes, this one {len(message)}"
            raise AmqpError(conditions.MESSAGE_SIZE_EXCEEDED, text)
        contents = read_batch(message) if first.message_format == BATCH_FORMAT else [read_content(message)]
        self.session.broker.publish(self._entity, contents)


class RequestLink(IncomingLink):
    """Requests to a node; answers go out on the reply link of the same session and address."""

    def __init__(self, session: Session, handle: int, path: str, node: Node) -> None:
        super().__init__(session, handle, path)
        self._node = node

    def _take(self, first: Transfer, message: bytes) -> None:
        # at once: a client that hears of a delivery of ours with the same number would take that for this answer
        self._answer(first, accepted())
        request = read_content(message)
        answer = self._node.answer(request)
        for link in self.session.links.values():
            if isinstance(link, ReplyLink) and link.path.lower() == self.path.lower():
                link.reply(answer)
                return


class OutgoingLink(Link):
    """A link on which the client receives, as much as it has given credit for."""

    def __init__(self, session: Session, handle: int, path: str) -> None:
        super().__init__(session, handle, path)
        self.credit = 0
        self._delivery_count = 0
        self._draining = False

    def flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            theirs = self._delivery_count if flow.delivery_count is None else flow.delivery_count
            self.credit = theirs + flow.link_credit - self._delivery_count
        self._draining = bool(flow.drain)
        self.wake()

    def _send(self, tag: bytes, payload: bytes, *, settled: bool) -> int:
        self.credit -= 1
        self._delivery_count += 1
        return self.session.send_delivery(self.handle, tag, payload, settled=settled)

    def _finish_drain(self) -> None:
        """Nothing more is there: use up the credit, if that was asked for (part 2, section 2.6.7)."""
        if not self._draining:
            return
        self._draining = False
        self._delivery_count += max(self.credit, 0)
        self.credit = 0
        count = UInt(self._delivery_count % 2**32)
        self.session.flow(self, delivery_count=count, link_credit=UInt(0), drain=True)


class ReplyLink(OutgoingLink):
    """Answers of a node. Clients give credit once and never again, so only a strict broker waits for it."""

    def __init__(self, session: Session, handle: int, path: str) -> None:
        super().__init__(session, handle, path)
        self._waiting: deque[bytes] = deque()

    def reply(self, answer: bytes) -> None:
        """Send an answer as soon as it may go."""
        self._waiting.append(answer)
        self.wake()

    def wake(self) -> None:
        strict = self.session.broker.faults.strict_management_credit
        while self._waiting and (self.credit > 0 or not strict):
            self._send(self._delivery_count.to_bytes(4), self._waiting.popleft(), settled=True)
        self._finish_drain()


class QueueLink(OutgoingLink):
    """Messages of a queue; `session_lock` is what a session receiver holds, which requests name by the link's `name`."""

    def __init__(
        self,
        session: Session,
        handle: int,
        path: str,
        pump: QueuePump,
        *,
        name: str,
        takes_away: bool,
        session_lock: SessionLock | None = None,
    ) -> None:
        super().__init__(session, handle, path)
        self.name = name
        self.takes_away = takes_away
        self.session_lock = session_lock
        self._pump = pump
        self._queue = pump.queue
        self._tokens: dict[int, UUID] = {}
        pump.consumers.append(self)

    @property
    def hungry(self) -> bool:
        return self.credit > 0 and not self.session.clogged

    def wake(self) -> None:
        self._pump.wake()

    def deliver(self, message: Message) -> None:
        if message.lock_token is None:
            self._send(b"\x00" * 16, message.encode(), settled=True)
            return
        # the tag is the lock token in the byte order of .NET's Guid
        delivery_id = self._send(message.lock_token.bytes_le, message.encode(), settled=False)
        self._tokens[delivery_id] = message.lock_token
        self.session.unsettled[delivery_id] = self

    def fed(self) -> None:
        self._finish_drain()

    def session_lost(self) -> None:
        self.end(AmqpError(conditions.SESSION_LOCK_LOST, "the lock of the session has expired"))

    def drop(self) -> None:
        """Locks of messages stay until their time is up; a session is free at once."""
        self._pump.consumers.remove(self)
        for delivery_id in self._tokens:
            del self.session.unsettled[delivery_id]
        self._tokens.clear()
        if self.session_lock is not None:
            self._queue.release_session(self.session_lock, self.session.broker.clock())

    def settle(self, delivery_id: int, disposition: Disposition) -> None:
        """The client has decided about a delivery; a client that waits for our word gets it."""
        if disposition.state is None and not disposition.settled:
            return
        token = self._tokens.pop(delivery_id)
        del self.session.unsettled[delivery_id]
        swallow = self.session.broker.faults.takes_swallow() if _is_final(disposition.state) else None
        if swallow is False:
            return
        try:
            answer = self._apply(token, disposition.state)
        except AmqpError as error:
            answer = rejected(error)
        if swallow is None and not disposition.settled:
            number = UInt(delivery_id)
            self.session.send(Disposition(role=False, first=number, last=number, settled=True, state=answer))

    def _apply(self, token: UUID, state: Described | None) -> Described:
        """Do it; returns the state to echo, which has no error even when a message was rejected."""
        now = self.session.broker.clock()
        match None if state is None else state.descriptor:
            case code if state is not None and code == MODIFIED:
                undeliverable = bool(field(state, 1))
                (self._queue.defer if undeliverable else self._queue.abandon)(token, now)
                return modified(delivery_failed=bool(field(state, 0)), undeliverable_here=undeliverable)
            case code if state is not None and code == REJECTED:
                reason, description = _dead_letter_reason(field(state, 0))
                self._queue.dead_letter(token, now, reason=reason, description=description)
                return rejected()
            case code if state is not None and code == RELEASED:
                self._queue.release(token, now)
                return state
        self._queue.complete(token, now)
        return accepted()


def _is_final(state: Described | None) -> bool:
    """Whether it settles for good, rather than giving back."""
    return state is None or state.descriptor in (ACCEPTED, MODIFIED, REJECTED)


def _dead_letter_reason(error: Any) -> tuple[str | None, str | None]:
    """Reason and description out of the error that a rejecting client sends."""
    if not isinstance(error, Described):
        return None, None
    info = field(error, 2) or {}
    return info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription") or field(error, 1)
