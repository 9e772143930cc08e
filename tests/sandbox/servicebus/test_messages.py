"""Messages of a queue through the SDK: what goes in comes out, and stays where it was put."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusSender
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageNotFoundError,
    MessageSizeExceededError,
)

from tests.sandbox.servicebus.bus import WAIT, Bus, bodies, nothing_to_receive, numbered, receive
from tests.sandbox.servicebus.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")


@together
async def test_a_message_arrives_with_everything_its_sender_has_set(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    sent = ServiceBusMessage(
        b"\x00\xff body",
        message_id="id-1",
        subject="joined",
        correlation_id="correlation",
        content_type="text/plain",
        to="somebody",
        reply_to="us",
        session_id="s",
        reply_to_session_id="rs",
        partition_key="s",
        time_to_live=timedelta(seconds=600),
        application_properties={"text": "ä", "number": 7, "yes": True, "half": 0.5},
    )
    await sender.send_messages(sent)
    (message,) = await receive(receiver)
    assert b"".join(message.body) == b"\x00\xff body"
    assert (message.message_id, message.subject, message.correlation_id) == ("id-1", "joined", "correlation")
    assert (message.content_type, message.to, message.reply_to) == ("text/plain", "somebody", "us")
    assert (message.session_id, message.reply_to_session_id, message.partition_key) == ("s", "rs", "s")
    assert message.time_to_live == timedelta(seconds=600)
    assert message.application_properties == {
        b"text": "ä".encode(),
        b"number": 7,
        b"yes": True,
        b"half": 0.5,
    }
    await receiver.complete_message(message)


@together
async def test_the_broker_tells_number_time_lock_and_count(bus: Bus) -> None:
    sender, receiver = await bus.ends(await bus.queue(lock_duration=timedelta(seconds=30)))
    before = datetime.now(UTC) - timedelta(seconds=1)
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    assert message.sequence_number == 1
    assert message.delivery_count == 0
    assert message.state is ServiceBusMessageState.ACTIVE
    assert message.enqueued_time_utc is not None
    assert before < message.enqueued_time_utc < datetime.now(UTC) + timedelta(seconds=1)
    assert message.locked_until_utc is not None
    assert timedelta(seconds=25) < message.locked_until_utc - datetime.now(UTC) < timedelta(seconds=31)
    assert isinstance(UUID(str(message.lock_token)), UUID)
    await receiver.complete_message(message)  # finds the lock by its token, so the byte order was right
    assert await nothing_to_receive(receiver)


@together
async def test_an_abandoned_message_comes_again_before_later_ones(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    await sender.send_messages(numbered(2))
    (first,) = await receive(receiver)
    await receiver.abandon_message(first)
    again, second = await receive(receiver, 2)
    assert bodies([again, second]) == ["0", "1"]
    assert (again.delivery_count, second.delivery_count) == (1, 0)
    await asyncio.gather(receiver.complete_message(again), receiver.complete_message(second))


@together
async def test_a_dead_letter_keeps_reason_and_description(bus: Bus) -> None:
    queue = await bus.queue()
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(ServiceBusMessage("bad", application_properties={"kept": "yes"}))
    (message,) = await receive(receiver)
    await receiver.dead_letter_message(message, reason="unreadable", error_description="no JSON at column 3")
    dead_letters = await bus.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (dead,) = await receive(dead_letters)
    assert str(dead) == "bad"
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("unreadable", "no JSON at column 3")
    assert dead.application_properties is not None
    assert dead.application_properties[b"kept"] == b"yes"
    await dead_letters.complete_message(dead)


@together
async def test_too_many_deliveries_make_a_dead_letter(bus: Bus) -> None:
    queue = await bus.queue(max_delivery_count=3)
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(ServiceBusMessage("poison"))
    counts = []
    for _ in range(3):
        (message,) = await receive(receiver)
        counts.append(message.delivery_count)
        await receiver.abandon_message(message)
    assert counts == [0, 1, 2]
    dead_letters = await bus.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    (dead,) = await receive(dead_letters)
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"


@together
async def test_a_deferred_message_is_had_by_its_number_only(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    await sender.send_messages(ServiceBusMessage("later"))
    (message,) = await receive(receiver)
    assert message.sequence_number is not None
    await receiver.defer_message(message)
    assert await nothing_to_receive(receiver)
    (peeked,) = await receiver.peek_messages(sequence_number=1)
    assert peeked.state is ServiceBusMessageState.DEFERRED
    (deferred,) = await receiver.receive_deferred_messages([message.sequence_number])
    assert str(deferred) == "later"
    await receiver.complete_message(deferred)
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages([message.sequence_number])


@together
async def test_a_message_is_settled_once(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    await receiver.complete_message(message)
    with pytest.raises(MessageAlreadySettled):
        await receiver.complete_message(message)


@together
async def test_messages_of_many_frames_arrive_whole(bus: Bus) -> None:
    body = bytes(range(256)) * 800
    sender, receiver = await bus.new_ends()
    await sender.send_messages(ServiceBusMessage(body))
    (message,) = await receive(receiver)
    assert b"".join(message.body) == body


@together
async def test_a_message_over_the_limit_is_refused(bus: Bus) -> None:
    sender = await bus.sender(await bus.queue())
    with pytest.raises(MessageSizeExceededError):
        await sender.send_messages(ServiceBusMessage(b"x" * 300_000))


@together
async def test_a_full_batch_arrives_message_by_message(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    batch = await sender.create_message_batch()
    count = 0
    while True:
        try:
            batch.add_message(ServiceBusMessage(f"{count:04}" + "x" * 1020))
        except MessageSizeExceededError:
            break
        count += 1
    assert count > 200
    await sender.send_messages(batch)
    received = await receive(receiver, count)
    assert [str(message)[:4] for message in received] == [f"{number:04}" for number in range(count)]


@together
async def test_what_is_received_and_deleted_is_gone(bus: Bus) -> None:
    queue = await bus.queue()
    sender, receiver = await bus.ends(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    await sender.send_messages(numbered(5))
    assert bodies(await receive(receiver, 5)) == ["0", "1", "2", "3", "4"]
    assert await receiver.peek_messages(sequence_number=1) == []


@together
async def test_prefetched_messages_come_in_order(bus: Bus) -> None:
    sender, receiver = await bus.ends(await bus.queue(), prefetch_count=100)
    await sender.send_messages(numbered(150))
    received = await receive(receiver, 150)
    assert bodies(received) == [str(number) for number in range(150)]


@together
async def test_a_receiver_that_closes_gives_back_what_it_had_no_time_for(bus: Bus) -> None:
    queue = await bus.queue(lock_duration=timedelta(minutes=1))
    sender, receiver = await bus.ends(queue)
    assert await receiver.receive_messages(max_message_count=10, max_wait_time=0.3) == []
    await sender.send_messages(numbered(3))  # comes on credit that was left over
    await receiver.close()
    received = await receive(await bus.receiver(queue), 3)
    assert [message.delivery_count for message in received] == [0, 0, 0]


@together
async def test_messages_can_be_iterated_over(bus: Bus) -> None:
    sender, receiver = await bus.ends(await bus.queue(), max_wait_time=1)
    await sender.send_messages(numbered(3))
    seen = []
    async for message in receiver:
        seen.append(str(message))
        await receiver.complete_message(message)
    assert seen == ["0", "1", "2"]


@together
async def test_peeking_shows_and_takes_nothing(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    await sender.send_messages(numbered(4))
    assert bodies(await receiver.peek_messages(max_message_count=2)) == ["0", "1"]
    assert bodies(await receiver.peek_messages(max_message_count=10, sequence_number=3)) == ["2", "3"]
    received = await receive(receiver, 4)
    assert [message.delivery_count for message in received] == [0, 0, 0, 0]


@together
async def test_scheduled_messages_wait_for_their_time(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await sender.schedule_messages(ServiceBusMessage("by call"), soon)
    late = ServiceBusMessage("by property")
    late.scheduled_enqueue_time_utc = soon
    await sender.send_messages(late)
    received = await receive(receiver, 2)
    assert sorted(bodies(received)) == ["by call", "by property"]
    for message in received:
        assert message.enqueued_time_utc is not None
        assert message.enqueued_time_utc >= soon - timedelta(milliseconds=5)
        assert message.scheduled_enqueue_time_utc is None


@together
async def test_scheduled_messages_are_seen_and_cancelled_before_their_time(bus: Bus) -> None:
    sender, receiver = await bus.new_ends()
    numbers = await sender.schedule_messages(numbered(2), datetime.now(UTC) + timedelta(hours=1))
    (peeked, *_) = await receiver.peek_messages(max_message_count=3)
    assert peeked.state is ServiceBusMessageState.SCHEDULED
    await sender.cancel_scheduled_messages(numbers[0])
    assert bodies(await receiver.peek_messages(max_message_count=3, sequence_number=1)) == ["1"]
    with pytest.raises(MessageNotFoundError):
        await sender.cancel_scheduled_messages(numbers[0])


@together
async def test_three_competing_consumers_share_a_queue(bus: Bus) -> None:
    queue = await bus.queue()
    sender = await bus.sender(queue)
    receivers = await asyncio.gather(*(bus.receiver(queue) for _ in range(3)))
    await sender.send_messages(numbered(60))
    shares = await asyncio.gather(*(receive(receiver, 20) for receiver in receivers))
    assert sorted(int(text) for share in shares for text in bodies(share)) == list(range(60))


@together
async def test_two_hundred_messages_of_several_senders_all_arrive(bus: Bus) -> None:
    queue = await bus.queue()
    senders = await asyncio.gather(*(bus.sender(queue) for _ in range(4)))
    receiver = await bus.receiver(queue)
    messages = iter(numbered(200))

    async def send_some(sender: ServiceBusSender) -> None:
        for message in messages:  # one after another: the SDK repeats what one sender is told to send at once
            await sender.send_messages(message)

    await asyncio.gather(*map(send_some, senders))
    received = await receive(receiver, 200)
    assert sorted(int(text) for text in bodies(received)) == list(range(200))
    await asyncio.wait_for(asyncio.gather(*map(receiver.complete_message, received)), WAIT)
    assert await receiver.peek_messages(sequence_number=1) == []
