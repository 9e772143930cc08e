"""One queue: who has which message, until when, and where it goes next. Pure: time is an argument.

It stands for a queue, for what a subscription has been given, and for their dead-letter queues. Instants are
milliseconds since 1970. A message is scheduled, then active, then locked, and from there gone, active again,
deferred, or in the dead-letter queue. The lowest sequence number goes first, whatever happened to it before.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid4

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.content import Content
from sandbox.servicebus.message import Message, SessionLock, State
from sandbox.servicebus.settings import QueueSettings

DEAD_LETTER_SETTINGS = QueueSettings(max_delivery_count=None)
"""Messages stay in a dead-letter queue until somebody takes them."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """What has happened in a queue since it was opened, for assertions."""

    enqueued: int = 0
    delivered: int = 0
    completed: int = 0
    abandoned: int = 0
    released: int = 0
    deferred: int = 0
    dead_lettered: int = 0
    lock_expired: int = 0
    expired: int = 0


class Record(Protocol):
    """Who keeps what a queue must not forget; all of it is told before anybody outside hears of it."""

    def message_put(self, queue: str, message: Message) -> None:
        """It is new, or is not as it was."""

    def message_removed(self, queue: str, sequence_number: int) -> None:
        """It is gone."""

    def session_state_put(self, queue: str, session_id: str, state: bytes | None) -> None:
        """A session's state was set, or cleared by None."""


class MessageQueue:
    """The messages at `path`; `dead_letters` is None for a dead-letter queue itself."""

    def __init__(self, path: str, settings: QueueSettings, record: Record) -> None:
        self.path = path
        self.settings = settings
        self.counts = Counts()
        self.dead_letters: MessageQueue | None = None
        self.last_sequence_number = 0
        self._record = record
        self._messages: dict[int, Message] = {}
        self._locked: OrderedDict[UUID, Message] = OrderedDict()  # the first lock to run out is first
        self._ready: dict[str | None, list[int]] = {}  # heaps by session; without sessions all is under None
        self._scheduled: list[tuple[int, int]] = []  # heaps of (when, sequence number); what is gone stays in them
        self._expiring: list[tuple[int, int]] = []
        self._session_locks: dict[str, SessionLock] = {}
        self._session_states: dict[str, bytes] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when a message may be taken, or `next_due` may have moved."""

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(tuple(self._messages.values()))

    def count(self, state: State) -> int:
        """How many messages are in this state; locked ones count as what they were."""
        return sum(message.state is state for message in self._messages.values())

    # in

    def enqueue(self, content: Content, now: int, *, lives_at_most: int | None = None) -> Message:
        """Take a message; it is active now, or at the time its sender has set. `lives_at_most` is a topic's limit."""
        self.last_sequence_number += 1
        self.counts.enqueued += 1
        message = Message(content, self.last_sequence_number, enqueued_at=now)
        self._messages[message.sequence_number] = message
        if content.scheduled_for is not None and content.scheduled_for > now:
            message.state = State.SCHEDULED
            heapq.heappush(self._scheduled, (content.scheduled_for, message.sequence_number))
            self._record.message_put(self.path, message)
            self.on_change()
        else:
            self._activate(message, now, lives_at_most)
        return message

    def restore(self, message: Message) -> None:
        """Take back a message that was here before a restart; locks do not outlive it."""
        self._messages[message.sequence_number] = message
        if message.state is State.SCHEDULED:
            when = message.content.scheduled_for or message.enqueued_at
            heapq.heappush(self._scheduled, (when, message.sequence_number))
            self.on_change()
        elif message.state is State.ACTIVE:
            if message.expires_at is not None:
                heapq.heappush(self._expiring, (message.expires_at, message.sequence_number))
            self._make_ready(message)

    def restore_session_state(self, session_id: str, state: bytes) -> None:
        """Take back a session's state."""
        self._session_states[session_id] = state

    def cancel_scheduled(self, sequence_numbers: Sequence[int]) -> None:
        """Forget scheduled messages, all or none.

        Raises: AmqpError: one of them is not there, or not scheduled any more.
        """
        messages = self._find(sequence_numbers, State.SCHEDULED)
        for message in messages:
            self._remove(message)

    # out

    def take(self, now: int, *, session: SessionLock | None = None) -> Message | None:
        """Lock the next active message, of this session if given; None when there is none."""
        message = self._pop(None if session is None else session.session_id)
        if message is not None:
            self._lock(message, now, session)
            self.counts.delivered += 1
        return message

    def take_away(self, *, session: SessionLock | None = None) -> Message | None:
        """Remove the next active message and return it."""
        message = self._pop(None if session is None else session.session_id)
        if message is not None:
            self._remove(message)
            self.counts.delivered += 1
            self.counts.completed += 1
        return message

    def take_deferred(
        self, sequence_numbers: Sequence[int], now: int, *, lock: bool, session: SessionLock | None = None
    ) -> list[Message]:
        """Lock deferred messages, or remove them if `lock` is false, all or none.

        Raises: AmqpError: one of them is not there, not deferred, or locked.
        """
        messages = self._find(sequence_numbers, State.DEFERRED)
        for message in messages:
            self.counts.delivered += 1
            if lock:
                self._lock(message, now, session)
            else:
                self._remove(message)
                self.counts.completed += 1
        return messages

    def peek(self, from_sequence_number: int, count: int, *, session_id: str | None = None) -> list[Message]:
        """Up to `count` messages from this number on, whatever their state, neither locked nor changed."""
        wanted = (
            message
            for number, message in self._messages.items()
            if number >= from_sequence_number and (session_id is None or message.content.session_id == session_id)
        )
        return heapq.nsmallest(count, wanted, key=lambda message: message.sequence_number)

    # settled

    def complete(self, token: UUID, now: int) -> None:
        """Remove a message that was locked. Raises: AmqpError: the lock is lost."""
        self._remove(self._unlock(token, now))
        self.counts.completed += 1

    def abandon(self, token: UUID, now: int) -> None:
        """Give it back as a failed delivery. Raises: AmqpError: the lock is lost."""
        self.counts.abandoned += 1
        self._fail(self._unlock(token, now), now)

    def release(self, token: UUID, now: int) -> None:
        """Give it back as if it had never been delivered. Raises: AmqpError: the lock is lost."""
        self.counts.released += 1
        self._return(self._unlock(token, now), now)

    def defer(self, token: UUID, now: int) -> None:
        """Put it aside until somebody asks for its sequence number. Raises: AmqpError: the lock is lost."""
        message = self._unlock(token, now)
        message.state = State.DEFERRED
        self.counts.deferred += 1
        self._record.message_put(self.path, message)

    def dead_letter(self, token: UUID, now: int, *, reason: str | None, description: str | None) -> None:
        """Move it to the dead-letter queue. Raises: AmqpError: the lock is lost."""
        self._bury(self._unlock(token, now), now, reason=reason, description=description)

    def renew(self, token: UUID, now: int) -> int:
        """Lock it for the whole duration again; returns until when. Raises: AmqpError: the lock is lost."""
        message = self._held(token, now)
        message.locked_until = now + self.settings.lock_duration
        self._locked.move_to_end(token)
        return message.lock_end

    # sessions

    def accept_session(self, session_id: str, now: int) -> SessionLock:
        """Lock a session, empty or not. Raises: AmqpError: somebody else has it."""
        self.advance(now)
        if session_id in self._session_locks:
            raise AmqpError(
                conditions.SESSION_CANNOT_BE_LOCKED, f"the session {session_id!r} is held by another receiver"
            )
        lock = SessionLock(session_id, now + self.settings.lock_duration)
        self._session_locks[session_id] = lock
        self.on_change()
        return lock

    def accept_next_session(self, now: int) -> SessionLock | None:
        """Lock a session that nobody holds and that has active messages, the one with the oldest; None without any."""
        waiting = (
            (heap[0], session_id)
            for session_id, heap in self._ready.items()
            if session_id is not None and session_id not in self._session_locks and self._first(heap) is not None
        )
        _, session_id = min(waiting, default=(0, None))
        return None if session_id is None else self.accept_session(session_id, now)

    def release_session(self, lock: SessionLock, now: int) -> None:
        """Give a session back in good order: its messages are active again, as if never delivered."""
        if not lock.lost:
            self._drop_session(lock)
            for token in list(lock.messages):
                self._return(self._unlocked(token), now)

    def renew_session(self, lock: SessionLock, now: int) -> int:
        """Hold a session that is held for the whole duration again; returns until when."""
        lock.locked_until = now + self.settings.lock_duration
        return lock.locked_until

    def session_lock(self, session_id: str, now: int) -> SessionLock:
        """The lock under which a session is held. Raises: AmqpError: nobody holds it."""
        lock = self._session_locks.get(session_id)
        if lock is None or lock.locked_until <= now:
            raise AmqpError(conditions.SESSION_LOCK_LOST, f"the session {session_id!r} is not locked any more")
        return lock

    def session_state(self, session_id: str) -> bytes | None:
        """What was last set, None at first."""
        return self._session_states.get(session_id)

    def set_session_state(self, session_id: str, state: bytes | None) -> None:
        """Keep a session's state, or forget it."""
        if state is None:
            self._session_states.pop(session_id, None)
        else:
            self._session_states[session_id] = state
        self._record.session_state_put(self.path, session_id, state)

    def sessions(self) -> list[str]:
        """The sessions with messages or a state, sorted."""
        with_messages = {message.content.session_id for message in self._messages.values()}
        return sorted(
            {session_id for session_id in with_messages if session_id is not None} | set(self._session_states)
        )

    # time

    def advance(self, now: int) -> None:
        """Let happen what is due: locks run out, scheduled messages become active, old ones expire."""
        while self._locked and not self.settings.requires_session:
            token, message = next(iter(self._locked.items()))
            if message.locked_until > now:
                break
            self.counts.lock_expired += 1
            self._fail(self._unlocked(token), now)
        for lock in [lock for lock in self._session_locks.values() if lock.locked_until <= now]:
            self._drop_session(lock)
            for token in list(lock.messages):
                self.counts.lock_expired += 1
                self._fail(self._unlocked(token), now)
        while self._scheduled and self._scheduled[0][0] <= now:
            scheduled = self._messages.get(heapq.heappop(self._scheduled)[1])
            if scheduled is not None and scheduled.state is State.SCHEDULED:
                scheduled.content = scheduled.content.without_schedule()
                self._activate(scheduled, now)
        while self._expiring and self._expiring[0][0] <= now:
            expired = self._messages.get(heapq.heappop(self._expiring)[1])
            if expired is not None and expired.state is State.ACTIVE and expired.lock_token is None:
                self._expire(expired, now)

    def next_due(self) -> int | None:
        """When `advance` will have something to do, None if nothing is waiting."""
        due = [heap[0][0] for heap in (self._scheduled, self._expiring) if heap]
        due += [lock.locked_until for lock in self._session_locks.values()]
        if self._locked and not self.settings.requires_session:
            due.append(next(iter(self._locked.values())).locked_until)
        return min(due, default=None)

    def expire_locks(self, now: int) -> None:
        """All locks, of messages and sessions, have run out."""
        for message in self._locked.values():
            message.locked_until = now
        for lock in self._session_locks.values():
            lock.locked_until = now
        self.advance(now)

    # inside

    def _activate(self, message: Message, now: int, lives_at_most: int | None = None) -> None:
        limits = (message.content.time_to_live, self.settings.time_to_live, lives_at_most)
        lifetimes = [limit for limit in limits if limit is not None]
        message.state = State.ACTIVE
        message.enqueued_at = now
        if lifetimes:
            message.expires_at = now + min(lifetimes)
            heapq.heappush(self._expiring, (message.expires_at, message.sequence_number))
        if self.settings.requires_session and message.content.session_id is None:
            description = "Session enabled entity doesn't allow a message whose session identifier is null."
            self._bury(message, now, reason="Session ID is null.", description=description)
            return
        self._record.message_put(self.path, message)
        self._make_ready(message)

    def _make_ready(self, message: Message) -> None:
        key = message.content.session_id if self.settings.requires_session else None
        heapq.heappush(self._ready.setdefault(key, []), message.sequence_number)
        self.on_change()

    def _first(self, heap: list[int]) -> Message | None:
        """The first message of a heap, which is rid of what is not active any more."""
        while heap:
            message = self._messages.get(heap[0])
            if message is not None and message.state is State.ACTIVE and message.lock_token is None:
                return message
            heapq.heappop(heap)
        return None

    def _pop(self, key: str | None) -> Message | None:
        heap = self._ready.get(key)
        if heap is None:
            return None
        message = self._first(heap)
        if message is not None:
            heapq.heappop(heap)
        if not heap and key is not None:
            del self._ready[key]
        return message

    def _find(self, sequence_numbers: Sequence[int], state: State) -> list[Message]:
        """All of these messages, in this state and not locked."""
        messages = []
        for number in sequence_numbers:
            message = self._messages.get(number)
            if message is None or message.state is not state or message.lock_token is not None:
                kind = state.name.lower()
                raise AmqpError(conditions.MESSAGE_NOT_FOUND, f"no {kind} message has the sequence number {number}")
            messages.append(message)
        return messages

    def _lock(self, message: Message, now: int, session: SessionLock | None) -> None:
        token = uuid4()
        message.lock_token = token
        message.locked_until = now + self.settings.lock_duration
        message.session_lock = session
        self._locked[token] = message
        if session is not None:
            session.messages[token] = message
        self.on_change()

    def _held(self, token: UUID, now: int) -> Message:
        """The message under a lock that has not run out."""
        message = self._locked.get(token)
        if message is not None and message.lock_end > now:
            return message
        condition = conditions.SESSION_LOCK_LOST if self.settings.requires_session else conditions.MESSAGE_LOCK_LOST
        raise AmqpError(condition, f"the lock {token} has expired, or its message is settled")

    def _unlock(self, token: UUID, now: int) -> Message:
        self._held(token, now)
        return self._unlocked(token)

    def _unlocked(self, token: UUID) -> Message:
        message = self._locked.pop(token)
        message.lock_token = None
        if message.session_lock is not None:
            del message.session_lock.messages[token]
            message.session_lock = None
        return message

    def _drop_session(self, lock: SessionLock) -> None:
        lock.lost = True
        del self._session_locks[lock.session_id]
        self.on_change()

    def _fail(self, message: Message, now: int) -> None:
        """One delivery more has failed; too many, and it is a dead letter."""
        message.delivery_count += 1
        limit = self.settings.max_delivery_count
        if limit is not None and message.delivery_count >= limit:
            description = f"Message could not be consumed after {limit} delivery attempts."
            self._bury(message, now, reason="MaxDeliveryCountExceeded", description=description)
            return
        self._record.message_put(self.path, message)
        self._return(message, now)

    def _return(self, message: Message, now: int) -> None:
        if message.state is not State.ACTIVE:
            return
        if message.expires_at is not None and message.expires_at <= now:
            self._expire(message, now)
        else:
            self._make_ready(message)

    def _expire(self, message: Message, now: int) -> None:
        self.counts.expired += 1
        if self.settings.dead_letter_on_expiration:
            description = "The message expired and was dead lettered."
            self._bury(message, now, reason="TTLExpiredException", description=description)
        else:
            self._remove(message)

    def _bury(self, message: Message, now: int, *, reason: str | None, description: str | None) -> None:
        """Move it to the dead-letter queue, where it keeps its number; in there it stays where it is."""
        told = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        properties = {**message.content.application_properties, **{key: text for key, text in told.items() if text}}
        content = message.content.replacing_application_properties(properties)
        if self.dead_letters is None:
            message.content = content
            self._record.message_put(self.path, message)
            self._return(message, now)
            return
        self.counts.dead_lettered += 1
        self._remove(message)
        self.dead_letters.take_dead_letter(content, message, now)

    def take_dead_letter(self, content: Content, message: Message, now: int) -> None:
        """Take a message that another queue gives up."""
        buried = Message(content, message.sequence_number, now, delivery_count=message.delivery_count)
        self.counts.enqueued += 1
        self.last_sequence_number = max(self.last_sequence_number, buried.sequence_number)
        self._messages[buried.sequence_number] = buried
        self._record.message_put(self.path, buried)
        self._make_ready(buried)

    def _remove(self, message: Message) -> None:
        del self._messages[message.sequence_number]
        self._record.message_removed(self.path, message.sequence_number)
