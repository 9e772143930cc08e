"""The rules of one queue, by the clock of the test."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sandbox.servicebus import conditions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.amqp.types import Symbol, Timestamp, UInt
from sandbox.servicebus.content import Content
from sandbox.servicebus.message import Message, SessionLock, State
from sandbox.servicebus.queue import DEAD_LETTER_SETTINGS, MessageQueue
from sandbox.servicebus.settings import QueueSettings
from sandbox.servicebus.storage import Storage

LOCK = 1000


def new_queue(**changes: Any) -> MessageQueue:
    settings = QueueSettings(**{"lock_duration": LOCK, "max_delivery_count": 3, **changes})
    queue = MessageQueue("q", settings, Storage())
    queue.dead_letters = MessageQueue("q/$DeadLetterQueue", DEAD_LETTER_SETTINGS, Storage())
    return queue


def content(
    *, time_to_live: int | None = None, scheduled_for: int | None = None, session: str | None = None
) -> Content:
    made = Content(
        header=[None, None, None if time_to_live is None else UInt(time_to_live)],
        annotations={} if scheduled_for is None else {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(scheduled_for)},
        properties_section=b"",
        application_properties_section=b"",
        body=b"",
    )
    made.properties = {} if session is None else {"group-id": session}
    return made


def take(queue: MessageQueue, now: int, session: SessionLock | None = None) -> tuple[Message, UUID]:
    message = queue.take(now, session=session)
    assert message is not None
    assert message.lock_token is not None
    return message, message.lock_token


def reason(queue: MessageQueue) -> Any:
    assert queue.dead_letters is not None
    (dead,) = queue.dead_letters
    return dead.content.application_properties["DeadLetterReason"]


def test_messages_are_taken_by_number_whatever_happened_to_them_before() -> None:
    queue = new_queue()
    for _ in range(3):
        queue.enqueue(content(), 0)
    taken = [take(queue, 0) for _ in range(3)]
    for _, token in reversed(taken):
        queue.release(token, 0)
    assert [take(queue, 0)[0].sequence_number for _ in range(3)] == [1, 2, 3]


def test_a_lock_holds_until_its_time_and_not_longer() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    _, token = take(queue, 0)
    assert queue.next_due() == LOCK
    queue.advance(LOCK - 1)
    assert queue.take(LOCK - 1) is None
    queue.advance(LOCK)
    message, _ = take(queue, LOCK)
    assert (message.delivery_count, queue.counts.lock_expired) == (1, 1)
    with pytest.raises(AmqpError) as lost:
        queue.complete(token, LOCK)
    assert lost.value.condition == conditions.MESSAGE_LOCK_LOST


def test_a_lock_is_lost_at_its_end_even_before_anybody_has_looked() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    _, token = take(queue, 0)
    with pytest.raises(AmqpError):
        queue.complete(token, LOCK)


def test_renewed_locks_run_out_in_their_new_order() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    queue.enqueue(content(), 0)
    (_, first), (second, _) = take(queue, 0), take(queue, 0)
    assert queue.renew(first, 500) == 500 + LOCK
    queue.advance(LOCK)
    assert take(queue, LOCK)[0] is second
    queue.complete(first, LOCK)


@pytest.mark.parametrize(
    ("settled", "count"),
    [("abandon", 1), ("release", 0)],
)
def test_what_is_given_back_counts_only_if_it_has_failed(settled: str, count: int) -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    _, token = take(queue, 0)
    getattr(queue, settled)(token, 0)
    assert take(queue, 0)[0].delivery_count == count


def test_the_last_failed_delivery_makes_a_dead_letter() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    for _ in range(3):
        queue.abandon(take(queue, 0)[1], 0)
    assert len(queue) == 0
    assert reason(queue) == "MaxDeliveryCountExceeded"


def test_a_dead_letter_keeps_its_number_and_stays_where_it_is() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    queue.enqueue(content(), 0)
    queue.complete(take(queue, 0)[1], 0)
    queue.dead_letter(take(queue, 0)[1], 0, reason="bad", description=None)
    dead_letters = queue.dead_letters
    assert dead_letters is not None
    for _ in range(20):
        message, token = take(dead_letters, 0)
        assert message.sequence_number == 2
        dead_letters.abandon(token, 0)
    dead_letters.dead_letter(take(dead_letters, 0)[1], 0, reason="worse", description=None)
    assert reason(queue) == "worse"


def test_a_deferred_message_is_found_by_number_and_stays_deferred_when_given_back() -> None:
    queue = new_queue()
    queue.enqueue(content(), 0)
    queue.defer(take(queue, 0)[1], 0)
    assert queue.take(0) is None
    (message,) = queue.take_deferred([1], 0, lock=True)
    with pytest.raises(AmqpError, match=r"no deferred message has the sequence number 1"):
        queue.take_deferred([1], 0, lock=True)
    assert message.lock_token is not None
    queue.abandon(message.lock_token, 0)
    assert message.state is State.DEFERRED
    assert queue.take(0) is None
    queue.take_deferred([1], 0, lock=False)
    assert len(queue) == 0


def test_a_scheduled_message_is_active_at_its_time_with_that_time_as_its_own() -> None:
    queue = new_queue()
    queue.enqueue(content(scheduled_for=500), 0)
    assert (queue.next_due(), queue.take(499)) == (500, None)
    queue.advance(500)
    message, _ = take(queue, 500)
    assert (message.enqueued_at, message.content.scheduled_for) == (500, None)


def test_scheduled_messages_are_cancelled_all_or_none() -> None:
    queue = new_queue()
    queue.enqueue(content(scheduled_for=500), 0)
    queue.enqueue(content(), 0)
    with pytest.raises(AmqpError):
        queue.cancel_scheduled([1, 2])
    assert len(queue) == 2
    queue.cancel_scheduled([1])
    queue.advance(500)
    assert [message.sequence_number for message in queue] == [2]


@pytest.mark.parametrize(
    ("of_message", "of_queue", "of_topic", "expected"),
    [(300, None, None, 300), (None, 400, None, 400), (300, 200, None, 200), (None, None, 100, 100)],
)
def test_a_message_lives_as_long_as_the_shortest_limit(
    of_message: int | None, of_queue: int | None, of_topic: int | None, expected: int
) -> None:
    queue = new_queue(time_to_live=of_queue)
    queue.enqueue(content(time_to_live=of_message), 0, lives_at_most=of_topic)
    queue.advance(expected - 1)
    assert len(queue) == 1
    queue.advance(expected)
    assert len(queue) == 0
    assert queue.counts.expired == 1


def test_an_expired_message_is_a_dead_letter_if_that_is_wanted() -> None:
    queue = new_queue(dead_letter_on_expiration=True)
    queue.enqueue(content(time_to_live=10), 0)
    queue.advance(10)
    assert reason(queue) == "TTLExpiredException"


def test_a_locked_message_may_be_completed_after_it_has_expired_and_not_be_had_again() -> None:
    queue = new_queue()
    queue.enqueue(content(time_to_live=10), 0)
    queue.enqueue(content(time_to_live=10), 0)
    (_, completed), (_, abandoned) = take(queue, 0), take(queue, 0)
    queue.advance(20)
    queue.complete(completed, 20)
    queue.abandon(abandoned, 20)
    assert len(queue) == 0


def test_a_session_has_its_messages_to_itself_and_in_order() -> None:
    queue = new_queue(requires_session=True)
    for session in "abab":
        queue.enqueue(content(session=session), 0)
    lock = queue.accept_session("b", 0)
    assert [take(queue, 0, lock)[0].sequence_number for _ in range(2)] == [2, 4]
    assert queue.take(0, session=lock) is None
    with pytest.raises(AmqpError) as held:
        queue.accept_session("b", 0)
    assert held.value.condition == conditions.SESSION_CANNOT_BE_LOCKED


def test_the_next_session_is_the_free_one_with_the_oldest_message() -> None:
    queue = new_queue(requires_session=True)
    for session in ("c", "a", "b"):
        queue.enqueue(content(session=session), 0)
    accepted = [queue.accept_next_session(0) for _ in range(4)]
    assert [lock.session_id if lock else None for lock in accepted] == ["c", "a", "b", None]


@pytest.mark.parametrize(("given_back", "count"), [(True, 0), (False, 1)])
def test_a_session_that_ends_gives_its_messages_back(given_back: bool, count: int) -> None:
    queue = new_queue(requires_session=True)
    queue.enqueue(content(session="s"), 0)
    lock = queue.accept_session("s", 0)
    _, token = take(queue, 0, lock)
    if given_back:
        queue.release_session(lock, LOCK - 1)
    else:
        queue.advance(LOCK)
        queue.release_session(lock, LOCK)  # its link finds out too late
    assert lock.lost
    with pytest.raises(AmqpError) as lost:
        queue.complete(token, LOCK)
    assert lost.value.condition == conditions.SESSION_LOCK_LOST
    assert take(queue, LOCK, queue.accept_session("s", LOCK))[0].delivery_count == count


def test_a_renewed_session_keeps_its_messages() -> None:
    queue = new_queue(requires_session=True)
    queue.enqueue(content(session="s"), 0)
    lock = queue.accept_session("s", 0)
    _, token = take(queue, 0, lock)
    assert queue.renew_session(lock, 900) == 900 + LOCK
    queue.advance(LOCK)
    queue.complete(token, LOCK)


def test_a_message_of_no_session_is_a_dead_letter_where_sessions_are_required() -> None:
    queue = new_queue(requires_session=True)
    queue.enqueue(content(), 0)
    assert reason(queue) == "Session ID is null."


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done in whatever order: no message is lost, doubled, or had by two."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = new_queue()
        self.now = 0
        self.tokens: list[UUID] = []
        self.completed = 0

    @rule(delay=st.sampled_from([None, 100, 3000]))
    def enqueue(self, delay: int | None) -> None:
        self.queue.enqueue(content(scheduled_for=None if delay is None else self.now + delay), self.now)

    @rule()
    def take(self) -> None:
        message = self.queue.take(self.now)
        if message is not None:
            assert message.lock_token is not None
            self.tokens.append(message.lock_token)

    @precondition(lambda self: self.tokens)
    @rule(settled=st.sampled_from(["complete", "abandon", "release", "defer", "renew"]), data=st.data())
    def settle(self, settled: str, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.tokens))
        with suppress(AmqpError):  # the lock is lost
            getattr(self.queue, settled)(token, self.now)
            self.completed += settled == "complete"

    @rule(step=st.sampled_from([1, 400, 1000, 5000]))
    def wait(self, step: int) -> None:
        self.now += step
        self.queue.advance(self.now)

    @invariant()
    def every_message_is_somewhere(self) -> None:
        assert self.queue.dead_letters is not None
        kept = len(self.queue) + len(self.queue.dead_letters) + self.completed
        assert kept == self.queue.counts.enqueued

    @invariant()
    def nothing_is_overdue(self) -> None:
        due = self.queue.next_due()
        assert due is None or due > self.now


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase


def test_an_unknown_lock_is_lost() -> None:
    with pytest.raises(AmqpError):
        new_queue().renew(uuid4(), 0)
