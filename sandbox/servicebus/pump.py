"""Hands messages of a queue to the links that want them, and rings when something in it is due."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from sandbox.servicebus.message import Message, SessionLock
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.topic import Topic

Clock = Callable[[], int]
"""Milliseconds since 1970."""


class Consumer(Protocol):
    """A link that takes messages of a queue; `session_lock` is what it holds, None without sessions."""

    session_lock: SessionLock | None
    takes_away: bool

    @property
    def hungry(self) -> bool:
        """Whether it has room for a message now."""

    def deliver(self, message: Message) -> None:
        """Send a message, which is locked, or gone where the link takes messages away."""

    def fed(self) -> None:
        """Nothing more is there for it just now."""

    def session_lost(self) -> None:
        """The lock of its session has run out."""


class SessionWaiter(Protocol):
    """Somebody who wants whichever session is free."""

    def take(self, session: SessionLock) -> None:
        """Here is one."""


class _Alarm:
    """Calls `ring` soon after `queue` has changed, and when something in it is due."""

    def __init__(self, queue: MessageQueue, ring: Callable[[int], None], clock: Clock) -> None:
        self._queue = queue
        self._ring = ring
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: int | None = None
        queue.on_change = self.wake

    def wake(self) -> None:
        """Ring in the next turn of the loop, once for all who ask."""
        if self._soon is None:
            self._soon = self._loop.call_soon(self._run)

    def stop(self) -> None:
        """Never ring again."""
        self._queue.on_change = lambda: None
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()

    def _run(self) -> None:
        now = self._clock()
        self._queue.advance(now)
        self._ring(now)
        due = self._queue.next_due()
        if due != self._due:
            self._arm(due, now)
        self._soon = None

    def _arm(self, due: int | None, now: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None else self._loop.call_later(max(due - now, 1) / 1000, self._is_due)
        self._due = due

    def _is_due(self) -> None:
        self._due = self._timer = None
        self.wake()


class QueuePump:
    """Shares a queue out among its links in turn; a link that holds a session gets that session's messages."""

    def __init__(self, queue: MessageQueue, clock: Clock) -> None:
        self.queue = queue
        self.consumers: deque[Consumer] = deque()
        self.waiters: deque[SessionWaiter] = deque()
        self._alarm = _Alarm(queue, self._share_out, clock)

    def wake(self) -> None:
        """Look whether there is something to hand out."""
        self._alarm.wake()

    def stop(self) -> None:
        """Hand out nothing any more."""
        self._alarm.stop()

    def _share_out(self, now: int) -> None:
        while self.waiters and (session := self.queue.accept_next_session(now)) is not None:
            self.waiters.popleft().take(session)
        for consumer in [one for one in self.consumers if one.session_lock is not None and one.session_lock.lost]:
            consumer.session_lost()
        passed = 0
        while passed < len(self.consumers):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            message = self._next(consumer, now) if consumer.hungry else None
            if message is None:
                passed += 1
            else:
                consumer.deliver(message)
                passed = 0
        for consumer in self.consumers:
            consumer.fed()

    def _next(self, consumer: Consumer, now: int) -> Message | None:
        if consumer.takes_away:
            return self.queue.take_away(session=consumer.session_lock)
        return self.queue.take(now, session=consumer.session_lock)


class TopicPump:
    """Hands scheduled messages of a topic on when their time has come."""

    def __init__(self, topic: Topic, clock: Clock) -> None:
        self._alarm = _Alarm(topic.pending, topic.distribute, clock)

    def stop(self) -> None:
        """Hand on nothing any more."""
        self._alarm.stop()
