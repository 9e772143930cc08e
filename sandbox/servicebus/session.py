"""One session of a connection (part 2, section 5): links, windows, and which delivery is whose."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.amqp.delivery_states import described_error
from sandbox.servicebus.amqp.performatives import (
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
)
from sandbox.servicebus.amqp.types import UInt, ULong, UShort
from sandbox.servicebus.attaching import attach
from sandbox.servicebus.links import IncomingLink, Link, QueueLink
from sandbox.servicebus.settings import MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from sandbox.servicebus.connection import AmqpConnection

WINDOW = 2**31 - 1
"""Transfers that we take without being asked again."""

HANDLE_MAX = 255
_WRAP = 2**32
_OVERHEAD = 64
"""Bytes that a transfer takes in a frame beside its payload, at most."""


class Session:
    """Its links have the handles that the client gave them, in both directions."""

    def __init__(self, connection: AmqpConnection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.broker = connection.broker
        self.links: dict[int, Link] = {}
        self.unsettled: dict[int, QueueLink] = {}
        self._channel = channel
        self._next_incoming_id = begin.next_outgoing_id
        self._next_outgoing_id = 1
        self._next_delivery_id = 1
        self._window = int(begin.incoming_window)
        self._backlog: deque[tuple[Transfer, bytes]] = deque()
        self.send(
            Begin(
                remote_channel=UShort(channel),
                next_outgoing_id=UInt(1),
                incoming_window=UInt(WINDOW),
                outgoing_window=UInt(WINDOW),
                handle_max=UInt(HANDLE_MAX),
            )
        )

    @property
    def clogged(self) -> bool:
        """Whether the client has to open its window before anything more is sent."""
        return bool(self._backlog) or self._window <= 0

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        """Say something on this session's channel."""
        self.connection.send(self._channel, performative, payload)

    def handle(self, performative: Performative, payload: bytes) -> None:
        """Take what the client says here. Raises: AmqpError: it ends the connection."""
        match performative:
            case Transfer():
                self._next_incoming_id = UInt((self._next_incoming_id + 1) % _WRAP)
                link = self.links.get(performative.handle)
                if isinstance(link, IncomingLink):  # else we have just detached it
                    link.transfer(performative, payload)
            case Disposition():
                self._settle(performative)
            case Flow():
                self._flow(performative)
            case Attach():
                if performative.handle > HANDLE_MAX or performative.handle in self.links:
                    raise AmqpError("amqp:session:handle-in-use", f"the handle {performative.handle} cannot be used")
                attach(self, performative)
            case Detach():
                ended = self.links.pop(performative.handle, None)
                if ended is not None:
                    ended.drop()
                    self.send(Detach(performative.handle, closed=True))
            case _:
                raise AmqpError(conditions.NOT_ALLOWED, f"{type(performative).__name__} does not belong here")

    def drop(self) -> None:
        """The session is over; nothing is said any more."""
        for link in self.links.values():
            link.drop()
        self.links.clear()
        self._backlog.clear()

    def attached(self, link: Link, request: Attach, **answer: Any) -> None:
        """A link is accepted: answer as the other side, what the client named echoed unchanged."""
        self.links[request.handle] = link
        self.send(
            Attach(
                name=request.name,
                handle=request.handle,
                role=not request.role,
                snd_settle_mode=request.snd_settle_mode,
                rcv_settle_mode=request.rcv_settle_mode,
                source=answer.get("source", request.source),
                target=request.target,
                initial_delivery_count=UInt(0) if request.role else None,
                max_message_size=ULong(MAX_MESSAGE_SIZE),
                properties=answer.get("properties"),
            )
        )

    def refuse(self, request: Attach, error: AmqpError) -> None:
        """A link is not accepted: it is attached to nothing and detached at once (part 2, section 6.3)."""
        self.send(
            Attach(
                name=request.name,
                handle=request.handle,
                role=not request.role,
                initial_delivery_count=UInt(0) if request.role else None,
            )
        )
        self.send(Detach(request.handle, closed=True, error=described_error(error)))

    def detach(self, link: Link, error: AmqpError | None) -> None:
        """End a link from our side; the client's answer finds nothing any more."""
        del self.links[link.handle]
        link.drop()
        self.send(Detach(UInt(link.handle), closed=True, error=None if error is None else described_error(error)))

    def send_delivery(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Send a message, in as many frames as it needs; returns its delivery id."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) % _WRAP
        room = self.connection.max_frame_size - _OVERHEAD
        for start in range(0, len(payload), room):
            transfer = Transfer(
                handle=UInt(handle),
                delivery_id=UInt(delivery_id),
                delivery_tag=tag,
                message_format=UInt(0),
                settled=settled,
                more=start + room < len(payload),
            )
            self._backlog.append((transfer, payload[start : start + room]))
        self._send_backlog()
        return delivery_id

    def flow(self, link: Link | None = None, **fields: Any) -> None:
        """Tell where we are, of a link if one is given."""
        self.send(
            Flow(
                next_incoming_id=self._next_incoming_id,
                incoming_window=UInt(WINDOW),
                next_outgoing_id=UInt(self._next_outgoing_id),
                outgoing_window=UInt(WINDOW),
                handle=None if link is None else UInt(link.handle),
                **fields,
            )
        )

    def _send_backlog(self) -> None:
        while self._backlog and self._window > 0:
            self._window -= 1
            self._next_outgoing_id = (self._next_outgoing_id + 1) % _WRAP
            self.send(*self._backlog.popleft())

    def _flow(self, flow: Flow) -> None:
        seen = 1 if flow.next_incoming_id is None else flow.next_incoming_id  # what the client got of our transfers
        self._window = flow.incoming_window - (self._next_outgoing_id - seen) % _WRAP
        self._send_backlog()
        if flow.handle is None:
            for link in self.links.values():
                link.wake()
        elif (found := self.links.get(flow.handle)) is not None:
            found.flow(flow)
        if flow.echo:
            self.flow()

    def _settle(self, disposition: Disposition) -> None:
        """Deliveries are numbered by session, so what belongs to a link that is gone is found no more."""
        last = disposition.first if disposition.last is None else disposition.last
        if last - disposition.first < len(self.unsettled):
            settled = list(range(disposition.first, last + 1))
        else:
            settled = sorted(number for number in self.unsettled if disposition.first <= number <= last)
        for delivery_id in settled:
            link = self.unsettled.get(delivery_id)
            if link is not None and disposition.role:
                link.settle(delivery_id, disposition)
