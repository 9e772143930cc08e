"""`$management` of an entity: requests beside the links (Microsoft, "AMQP 1.0 in Azure Service Bus: request-response")."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.amqp.types import Array, Int, Symbol, Timestamp
from sandbox.servicebus.broker import Broker
from sandbox.servicebus.content import Content, read_content, value_of
from sandbox.servicebus.message import Message, SessionLock
from sandbox.servicebus.namespace import Entity
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.replies import reply
from sandbox.servicebus.topic import Topic

MANAGEMENT_SUFFIX = "/$management"
PREFIX = "com.microsoft:"

_STATUSES = {
    conditions.MESSAGE_LOCK_LOST: 410,
    conditions.SESSION_LOCK_LOST: 410,
    conditions.MESSAGE_NOT_FOUND: 404,
    conditions.NOT_FOUND: 404,
    conditions.UNAUTHORIZED: 401,
    conditions.SERVER_BUSY: 503,
    conditions.TIMEOUT: 408,
    conditions.RESOURCE_LIMIT_EXCEEDED: 403,
    conditions.NOT_IMPLEMENTED: 501,
}
_LONG, _TIMESTAMP, _STRING = 0x81, 0x83, 0xB1
_MAX_SESSIONS = 100

_LINK_NAME = "associated-link-name"
"""The property of a request that says for which receiver it is made; operations find it in the body."""

Body = Mapping[str, Any]

Holds = Callable[[SessionLock, str | None], bool]
"""Whether who asks holds this session, on the link with this name if a request tells one."""


class Management:
    """Answers requests about one entity; who does not hold a session, or does no more, is told so."""

    def __init__(self, broker: Broker, entity: Entity, *, holds: Holds) -> None:
        self._broker = broker
        self._entity = entity
        self._holds = holds
        self._operations: dict[str, Callable[[Body], Body | None]] = {
            "renew-lock": self._renew_lock,
            "update-disposition": self._update_disposition,
            "peek-message": self._peek,
            "receive-by-sequence-number": self._receive_by_sequence_number,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel_scheduled,
            "renew-session-lock": self._renew_session_lock,
            "get-session-state": self._get_session_state,
            "set-session-state": self._set_session_state,
            "get-message-sessions": self._sessions,
        }

    def answer(self, request: Content) -> bytes:
        operation = str(request.application_properties.get("operation")).removeprefix(PREFIX)
        try:
            self._broker.faults.strike_request(operation)
            body = self._perform(operation, value_of(request), request.application_properties.get(_LINK_NAME))
        except AmqpError as error:
            return _refusal(request, error)
        if body is None:
            return reply(request, {"statusCode": Int(204), "statusDescription": "NoContent"}, {})
        return reply(request, {"statusCode": Int(200), "statusDescription": "OK"}, body)

    def _perform(self, operation: str, body: Any, link_name: str | None) -> Body | None:
        """The answer's body, None when there is nothing to tell of. Raises: AmqpError."""
        perform = self._operations.get(operation)
        if perform is None:
            raise AmqpError(conditions.NOT_IMPLEMENTED, f"there is no operation {operation!r}")
        try:
            return perform({**body, _LINK_NAME: link_name})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            text = f"the request for {operation} lacks something, or has it in another type: {error!r}"
            raise AmqpError(conditions.ARGUMENT_ERROR, text) from error

    @property
    def _queue(self) -> MessageQueue:
        if isinstance(self._entity, Topic):
            raise AmqpError(
                conditions.NOT_ALLOWED, f"{self._entity.name} is a topic: messages are in its subscriptions"
            )
        return self._entity

    def _renew_lock(self, body: Body) -> Body:
        now = self._broker.clock()
        ends = [Timestamp(self._queue.renew(token, now)) for token in _items(body["lock-tokens"])]
        return {"expirations": Array(_TIMESTAMP, ends)}

    def _update_disposition(self, body: Body) -> Body:
        queue, now = self._queue, self._broker.clock()
        for token in _items(body["lock-tokens"]):
            match body["disposition-status"]:
                case "completed":
                    queue.complete(token, now)
                case "abandoned":
                    queue.abandon(token, now)
                case "defered":  # as Microsoft spells it
                    queue.defer(token, now)
                case "suspended":
                    reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
                    queue.dead_letter(token, now, reason=reason, description=description)
                case status:
                    raise AmqpError(conditions.ARGUMENT_ERROR, f"there is no disposition {status!r}")
        return {}

    def _peek(self, body: Body) -> Body | None:
        messages = self._queue.peek(
            body["from-sequence-number"], body["message-count"], session_id=body.get("session-id")
        )
        return {"messages": [{"message": message.encode()} for message in messages]} if messages else None

    def _receive_by_sequence_number(self, body: Body) -> Body:
        messages = self._queue.take_deferred(
            _items(body["sequence-numbers"]),
            self._broker.clock(),
            lock=body["receiver-settle-mode"] == 1,
            session=None if body.get("session-id") is None else self._session_lock(body),
        )
        return {"messages": [_received(message) for message in messages]}

    def _schedule(self, body: Body) -> Body:
        contents = [read_content(message["message"]) for message in body["messages"]]
        now = self._broker.clock()
        if isinstance(self._entity, Topic):
            numbers = [self._entity.schedule(content, now) for content in contents]
        else:
            numbers = [self._entity.enqueue(content, now).sequence_number for content in contents]
        return {"sequence-numbers": Array(_LONG, numbers)}

    def _cancel_scheduled(self, body: Body) -> Body:
        queue = self._entity.pending if isinstance(self._entity, Topic) else self._entity
        queue.cancel_scheduled(_items(body["sequence-numbers"]))
        return {}

    def _renew_session_lock(self, body: Body) -> Body:
        lock = self._session_lock(body)
        return {"expiration": Timestamp(self._queue.renew_session(lock, self._broker.clock()))}

    def _get_session_state(self, body: Body) -> Body:
        self._session_lock(body)
        return {"session-state": self._queue.session_state(body["session-id"])}

    def _set_session_state(self, body: Body) -> Body:
        self._session_lock(body)
        self._queue.set_session_state(body["session-id"], body["session-state"])
        return {}

    def _sessions(self, body: Body) -> Body | None:
        skip = body.get("skip") or 0
        sessions = self._queue.sessions()[skip : skip + (body.get("top") or _MAX_SESSIONS)]
        return {"skip": Int(skip + len(sessions)), "sessions-ids": Array(_STRING, sessions)} if sessions else None

    def _session_lock(self, body: Body) -> SessionLock:
        """The lock under which who asks holds the session it names. Raises: AmqpError: nobody does, or somebody else."""
        lock = self._queue.session_lock(body["session-id"], self._broker.clock())
        if not self._holds(lock, body[_LINK_NAME]):
            raise AmqpError(
                conditions.SESSION_LOCK_LOST, f"the session {lock.session_id!r} is held by another receiver"
            )
        return lock


def _refusal(request: Content, error: AmqpError) -> bytes:
    status = _STATUSES.get(error.condition, 400)
    properties = {
        "statusCode": Int(status),
        "statusDescription": error.description,
        "errorCondition": Symbol(error.condition),
    }
    return reply(request, properties, {})


def _received(message: Message) -> dict[str, Any]:
    """A message that is handed over in an answer; here the lock token is a plain uuid."""
    token: UUID | None = message.lock_token
    received: dict[str, Any] = {"message": message.encode()}
    return received if token is None else {"lock-token": token, **received}


def _items(value: Any) -> list[Any]:
    """The items of an array or a list; clients send either."""
    return value.items if isinstance(value, Array) else list(value)
