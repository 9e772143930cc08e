"""Sessions through the SDK: one holder, strict order, a state."""

import asyncio

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.sandbox.servicebus.bus import Bus, bodies, numbered, receive
from tests.sandbox.servicebus.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")


@together
async def test_a_session_is_received_in_order_and_apart_from_others(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True)
    sender, receiver = await bus.ends(queue, session_id="a")
    await sender.send_messages(
        [ServiceBusMessage(f"{session}{number}", session_id=session) for number in range(3) for session in "ba"]
    )
    messages = await receive(receiver, 3)
    assert bodies(messages) == ["a0", "a1", "a2"]
    await receiver.abandon_message(messages[0])
    (again,) = await receive(receiver)
    assert (str(again), again.delivery_count) == ("a0", 1)
    for message in (again, *messages[1:]):
        await receiver.complete_message(message)


@together
async def test_a_session_keeps_its_state_and_its_lock_when_renewed(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True, lock_duration=bus.short_lock)
    receiver = await bus.receiver(queue, session_id="s")
    session = receiver.session
    assert await session.get_state() is None
    await session.set_state(b"step 1")
    first = session.locked_until_utc
    assert first is not None
    await asyncio.sleep(bus.short_lock.total_seconds() * 0.6)
    assert await session.renew_lock() > first
    await asyncio.sleep(bus.short_lock.total_seconds() * 0.6)
    assert await session.get_state() == b"step 1"


@together
async def test_a_session_has_one_holder_at_a_time(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True)
    sender, holder = await bus.ends(queue, session_id="s")
    await sender.send_messages(numbered(2, session_id="s"))
    received = await receive(holder, 2)
    with pytest.raises(SessionCannotBeLockedError):
        await bus.receiver(queue, session_id="s")
    await holder.close()  # frees the session at once, with what was locked in it
    again = await receive(await bus.receiver(queue, session_id="s"), 2)
    assert bodies(again) == bodies(received)
    assert [message.delivery_count for message in again] == [0, 0]


@together
async def test_the_next_available_session_is_one_that_has_messages_and_no_holder(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True)
    sender, held = await bus.ends(queue, session_id="held")
    waiting = asyncio.create_task(bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10))
    await sender.send_messages([ServiceBusMessage("x", session_id="held"), ServiceBusMessage("y", session_id="free")])
    receiver = await waiting
    assert receiver.session.session_id == "free"
    assert bodies(await receive(receiver)) == ["y"]
    assert bodies(await receive(held)) == ["x"]


@together
async def test_without_a_free_session_the_wait_ends(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True)
    with pytest.raises(OperationTimeoutError):
        await bus.receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5)


@together
async def test_a_session_that_is_not_renewed_is_lost_with_its_messages(bus: Bus) -> None:
    queue = await bus.queue(requires_session=True, lock_duration=bus.short_lock)
    sender, receiver = await bus.ends(queue, session_id="s")
    await sender.send_messages(ServiceBusMessage("x", session_id="s"))
    (message,) = await receive(receiver)
    await asyncio.sleep(bus.short_lock.total_seconds() + 0.3)
    with pytest.raises(SessionLockLostError):
        await receiver.complete_message(message)
    (again,) = await receive(await bus.receiver(queue, session_id="s"))
    assert again.delivery_count == 1


@together
async def test_sessions_are_used_where_they_are_required_and_only_there(bus: Bus) -> None:
    with_sessions, without = await bus.queue(requires_session=True), await bus.queue()
    sender, *refusals = await asyncio.gather(
        bus.sender(with_sessions),
        bus.receiver(with_sessions),
        bus.receiver(without, session_id="s"),
        return_exceptions=True,
    )
    assert [isinstance(refusal, ServiceBusError) for refusal in refusals] == [True, True]
    assert isinstance(sender, ServiceBusSender)
    with pytest.raises(ServiceBusError):
        await sender.send_messages(ServiceBusMessage("of no session"))
