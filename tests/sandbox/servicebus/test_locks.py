"""Locks through the SDK: how long they hold, and what is left of them when somebody is gone."""

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer
from azure.servicebus.exceptions import MessageLockLostError

from tests.sandbox.servicebus.bus import WAIT, Bus, receive
from tests.sandbox.servicebus.together import together

pytestmark = pytest.mark.asyncio(loop_scope="session")


@together
async def test_a_lock_that_runs_out_gives_the_message_to_the_next(bus: Bus) -> None:
    queue = await bus.queue(lock_duration=bus.short_lock)
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(ServiceBusMessage("x"))
    (first,) = await receive(receiver)
    (again,) = await asyncio.wait_for(receive(await bus.receiver(queue)), bus.short_lock.total_seconds() + WAIT)
    assert again.delivery_count == 1
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(first)
    await receiver.complete_message(again)


@together
async def test_a_renewed_lock_holds_for_its_whole_duration_again(bus: Bus) -> None:
    queue = await bus.queue(lock_duration=bus.short_lock)
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    for _ in range(3):
        await asyncio.sleep(bus.short_lock.total_seconds() * 0.4)
        await receiver.renew_message_lock(message)
    await receiver.complete_message(message)
    assert await receiver.peek_messages(sequence_number=1) == []


@together
async def test_the_sdks_renewer_keeps_a_lock_beyond_its_duration(bus: Bus) -> None:
    lock = max(bus.short_lock, timedelta(seconds=3))  # the renewer counts in whole seconds
    sender, receiver = await bus.ends(await bus.queue(lock_duration=lock))
    await sender.send_messages(ServiceBusMessage("x"))
    (message,) = await receive(receiver)
    failures: list[object] = []

    async def failed(renewed: object, error: Exception | None) -> None:
        failures.append(error)

    async with AutoLockRenewer() as renewer:
        renewer.register(receiver, message, max_lock_renewal_duration=30, on_lock_renew_failure=failed)
        await asyncio.sleep(lock.total_seconds() + 0.7)
        await receiver.complete_message(message)
    assert failures == []


@together
async def test_a_message_whose_consumer_is_lost_comes_again_when_its_lock_has_run_out(bus: Bus) -> None:
    """Losing the link does not unlock: only the clock does."""
    queue = await bus.queue(lock_duration=bus.short_lock)
    sender, receiver = await bus.ends(queue)
    await sender.send_messages(ServiceBusMessage("x"))
    (held,) = await receive(receiver)
    assert held.locked_until_utc is not None
    await receiver.close()
    (again,) = await receive(await bus.receiver(queue))
    assert again.delivery_count == 1
    assert again.locked_until_utc is not None
    assert again.locked_until_utc - bus.short_lock >= held.locked_until_utc - timedelta(milliseconds=100)


@together
async def test_five_hundred_messages_are_renewed_and_completed_at_once(bus: Bus) -> None:
    sender, receiver = await bus.ends(await bus.queue(lock_duration=timedelta(minutes=1)))
    await sender.send_messages([ServiceBusMessage(str(number)) for number in range(500)])
    messages = await receive(receiver, 500)

    async def renew_and_complete(message: ServiceBusReceivedMessage) -> None:
        await receiver.renew_message_lock(message)
        await receiver.complete_message(message)

    await asyncio.gather(*map(renew_and_complete, messages))
    assert await receiver.peek_messages(sequence_number=1) == []
