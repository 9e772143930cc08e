"""What all connections of one broker share: entities, pumps, faults, time, and the order of disk before wire."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.content import Content
from sandbox.servicebus.faults import Faults
from sandbox.servicebus.namespace import Entity, Namespace
from sandbox.servicebus.policies import Policies
from sandbox.servicebus.pump import Clock, QueuePump, TopicPump
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.settings import Status
from sandbox.servicebus.storage import Storage
from sandbox.servicebus.topic import Topic


class Flushable(Protocol):
    """A connection with something to say."""

    def flush(self) -> None:
        """Say it."""


def check_status(entity: Entity, disabled: Status) -> None:
    """Raises: AmqpError: the entity is disabled, or in the status `disabled`."""
    if entity.settings.status in ("Disabled", disabled):
        raise AmqpError(conditions.ENTITY_DISABLED, "the messaging entity is currently disabled")


class Broker:
    """The running heart; needs a running event loop."""

    def __init__(self, storage: Storage, faults: Faults, clock: Clock, policies: Policies | None = None) -> None:
        self.storage = storage
        self.policies = policies
        self.faults = faults
        self.clock = clock
        self.closed: Callable[[str], None] = lambda path: None
        """Called with the path of an entity that is deleted."""
        self._pumps: dict[str, QueuePump | TopicPump] = {}
        self._to_flush: list[Flushable] = []
        self.namespace = Namespace(storage, opened=self._open, closed=self._close)
        self.namespace.restore()

    def pump(self, queue: MessageQueue) -> QueuePump:
        """Who hands out a queue's messages."""
        pump = self._pumps[queue.path.lower()]
        assert isinstance(pump, QueuePump)
        return pump

    def publish(self, entity: Entity, contents: Sequence[Content]) -> None:
        """Take messages, all or none.

        Raises: AmqpError: the entity takes none now, or not these.
        """
        check_status(entity, "SendDisabled")
        now = self.clock()
        if isinstance(entity, Topic):
            for content in contents:
                entity.publish(content, now)
            return
        if entity.settings.requires_session and any(content.session_id is None for content in contents):
            raise AmqpError(conditions.NOT_ALLOWED, f"{entity.path} takes messages of sessions only: set a session id")
        for content in contents:
            entity.enqueue(content, now)

    def flush_soon(self, connection: Flushable) -> None:
        """Let a connection speak once everything that has happened in this turn of the loop is kept."""
        if not self._to_flush:
            asyncio.get_running_loop().call_soon(self._flush)
        self._to_flush.append(connection)

    def stop(self) -> None:
        """No message moves any more."""
        for pump in self._pumps.values():
            pump.stop()

    def _flush(self) -> None:
        self.storage.commit()
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    def _open(self, entity: Entity) -> None:
        if isinstance(entity, Topic):
            self._pumps[entity.name.lower()] = TopicPump(entity, self.clock)
        else:
            self._pumps[entity.path.lower()] = QueuePump(entity, self.clock)

    def _close(self, entity: Entity) -> None:
        path = entity.name if isinstance(entity, Topic) else entity.path
        self._pumps.pop(path.lower()).stop()
        self.closed(path)
