"""What a client attaches to: an entity, `$cbs`, or the `$management` of an entity; and session receivers, who wait."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.amqp.performatives import Attach, Flow
from sandbox.servicebus.amqp.types import Described, Symbol
from sandbox.servicebus.broker import check_status
from sandbox.servicebus.cbs import Cbs
from sandbox.servicebus.links import EntityLink, IncomingLink, Link, Node, QueueLink, ReplyLink, RequestLink
from sandbox.servicebus.management import MANAGEMENT_SUFFIX, Management
from sandbox.servicebus.message import SessionLock
from sandbox.servicebus.policies import Right
from sandbox.servicebus.queue import MessageQueue

if TYPE_CHECKING:
    from sandbox.servicebus.session import Session

CBS = "$cbs"
SESSION_FILTER = Symbol("com.microsoft:session-filter")
LOCKED_UNTIL = Symbol("com.microsoft:locked-until-utc")
TIMEOUT = "com.microsoft:timeout"
SESSION_TIMEOUT = 65_000
"""Milliseconds for which a client waits for any session, unless it says otherwise."""

_FILTER_FIELD = 7
_SETTLED = 1
_TICKS_BEFORE_1970 = 621_355_968_000_000_000


def attach(session: Session, request: Attach) -> None:
    """Answer the wish for a link, now or (for a session) when there is one."""
    try:
        _attach(session, request)
    except AmqpError as error:
        session.refuse(request, error)


def path_of(address: Any) -> str:
    """The path in an address, which may be a URI with a host. Raises: AmqpError: it is no text."""
    if not isinstance(address, str):
        raise AmqpError(conditions.NOT_FOUND, f"{address!r} is no address")
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/")


def _attach(session: Session, request: Attach) -> None:
    terminus = request.source if request.role else request.target
    if terminus is None or not isinstance(terminus.value, list) or not terminus.value:
        raise AmqpError(conditions.NOT_FOUND, "a link names the entity it is for")
    path = path_of(terminus.value[0])
    node = _node(session, path)
    if node is not None:
        _attach_node(session, request, path, node)
    else:
        session.broker.faults.strike_attach(path)
        _attach_entity(session, request, path)


def _node(session: Session, path: str) -> Node | None:
    if path.lower() == CBS:
        broker = session.broker
        return Cbs(broker.faults, broker.policies, granted=session.connection.grants.append, clock=broker.clock)
    if path.lower().endswith(MANAGEMENT_SUFFIX):
        _check_right(session, path[: -len(MANAGEMENT_SUFFIX)], "Listen")
        entity = session.broker.namespace.entity(path[: -len(MANAGEMENT_SUFFIX)])
        return Management(session.broker, entity, holds=partial(_holds, session))
    return None


def _holds(session: Session, lock: SessionLock, link_name: str | None) -> bool:
    """Whether a receiver on the same connection holds this, the one with this name if it is told."""
    return any(
        link.session_lock is lock and link_name in (None, link.name)
        for each in session.connection.sessions.values()
        for link in each.links.values()
        if isinstance(link, QueueLink)
    )


def _attach_node(session: Session, request: Attach, path: str, node: Node) -> None:
    if request.role:
        session.attached(ReplyLink(session, request.handle, path), request)
    else:
        _attach_incoming(session, request, RequestLink(session, request.handle, path, node))


def _attach_incoming(session: Session, request: Attach, link: IncomingLink) -> None:
    session.attached(link, request)
    link.open()


def _check_right(session: Session, path: str, right: Right) -> None:
    """Raises: AmqpError: no token of the connection allows it."""
    grants = session.connection.grants
    if session.broker.policies is not None and not any(grant.covers(path, right) for grant in grants):
        detail = f"Unauthorized access. '{right}' claim(s) are required to perform this operation. Resource: {path}"
        raise AmqpError(conditions.UNAUTHORIZED, detail)


def _attach_entity(session: Session, request: Attach, path: str) -> None:
    _check_right(session, path, "Listen" if request.role else "Send")
    entity = session.broker.namespace.entity(path)
    check_status(entity, "ReceiveDisabled" if request.role else "SendDisabled")
    if not request.role:
        if not session.broker.namespace.takes_messages(entity):
            raise AmqpError(conditions.NOT_ALLOWED, f"nothing can be sent to {path}")
        _attach_incoming(session, request, EntityLink(session, request.handle, path, entity))
    elif not isinstance(entity, MessageQueue):
        raise AmqpError(conditions.NOT_ALLOWED, f"{path} is a topic: receive from one of its subscriptions")
    elif entity.settings.requires_session:
        _attach_session(session, request, path, entity)
    elif SESSION_FILTER in _filters(request):
        raise AmqpError(conditions.NOT_ALLOWED, f"{path} has no sessions")
    else:
        session.attached(_queue_link(session, request, path, entity), request)


def _attach_session(session: Session, request: Attach, path: str, queue: MessageQueue) -> None:
    filters = _filters(request)
    if SESSION_FILTER not in filters:
        raise AmqpError(conditions.NOT_ALLOWED, f"{path} requires sessions: receive from one, or from the next")
    wanted = filters[SESSION_FILTER]
    session_id = wanted.value if isinstance(wanted, Described) else wanted
    if session_id is None:
        waiting = _NextSession(session, request, path, queue)
        session.links[request.handle] = waiting
        return
    lock = queue.accept_session(str(session_id), session.broker.clock())
    _attached_session(session, request, path, queue, lock)


def _attached_session(session: Session, request: Attach, path: str, queue: MessageQueue, lock: SessionLock) -> None:
    """Accept a session receiver, and tell it which session it has and for how long."""
    assert request.source is not None
    fields = list(request.source.value)
    fields[_FILTER_FIELD] = {SESSION_FILTER: lock.session_id}
    ticks = lock.locked_until * 10_000 + _TICKS_BEFORE_1970
    session.attached(
        _queue_link(session, request, path, queue, lock),
        request,
        source=Described(request.source.descriptor, fields),
        properties={LOCKED_UNTIL: ticks},
    )


def _queue_link(
    session: Session, request: Attach, path: str, queue: MessageQueue, lock: SessionLock | None = None
) -> QueueLink:
    takes_away = request.snd_settle_mode == _SETTLED
    pump = session.broker.pump(queue)
    return QueueLink(session, request.handle, path, pump, name=request.name, takes_away=takes_away, session_lock=lock)


def _filters(request: Attach) -> dict[Any, Any]:
    fields = [] if request.source is None else request.source.value
    filters = fields[_FILTER_FIELD] if len(fields) > _FILTER_FIELD else None
    return filters if isinstance(filters, dict) else {}


class _NextSession(Link):
    """A link that is not answered before a session is free, or its client's patience is over."""

    def __init__(self, session: Session, request: Attach, path: str, queue: MessageQueue) -> None:
        super().__init__(session, request.handle, path)
        self._request = request
        self._queue = queue
        self._pump = session.broker.pump(queue)
        self._pump.waiters.append(self)
        self._pump.wake()
        wanted = (request.properties or {}).get(TIMEOUT)
        patience = wanted if isinstance(wanted, int) else SESSION_TIMEOUT
        self._timer = asyncio.get_running_loop().call_later(patience / 1000, self._give_up)

    def flow(self, flow: Flow) -> None:
        """Nothing to be done: credit comes with the link."""

    def drop(self) -> None:
        self._timer.cancel()
        if self in self._pump.waiters:
            self._pump.waiters.remove(self)

    def end(self, error: AmqpError | None) -> None:
        self.drop()
        del self.session.links[self.handle]
        self.session.refuse(self._request, error or AmqpError(conditions.DETACH_FORCED, "nobody waits any more"))

    def take(self, session: SessionLock) -> None:
        """Answer: here is one. Its pump has let go of us."""
        self._timer.cancel()
        _attached_session(self.session, self._request, self.path, self._queue, session)

    def _give_up(self) -> None:
        self.end(AmqpError(conditions.TIMEOUT, f"no session of {self.path} had messages in time"))
