"""A Service Bus subscription as a source, through the SDK against the stand-in: the shared behaviour, and its own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from connectors.base import ACK, NACK, Disposition, Settlement
from sandbox.servicebus import QueueSettings
from sandbox.servicebus.service_bus import wall_clock
from tests.connectors.behaviour import PATIENCE, SourceBehaviour, bodies, bodies_of, take
from tests.connectors.servicebus.harness import PATH, SUBSCRIPTION, TOPIC, ServiceBusHarness
from tests.connectors.servicebus.harness import harness as new_harness
from tests.connectors.servicebus.quick import close_at_once


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    close_at_once(monkeypatch)


@pytest.fixture
async def harness() -> AsyncIterator[ServiceBusHarness]:
    # A lock is short enough to wait for, and long enough for a machine that stalls.
    async with new_harness(QueueSettings(lock_duration=9_000, max_delivery_count=2000)) as harness:
        yield harness


class TestServiceBusSource(SourceBehaviour):
    """The shared behaviour; its harness is the fixture above."""


async def test_a_message_carries_what_its_publisher_and_the_broker_said(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    sent = ServiceBusMessage(
        b"\x00\xff",
        message_id="m-1",
        subject="posting.debit",
        content_type="application/json",
        correlation_id="c-1",
        partition_key="p-1",
        time_to_live=timedelta(seconds=60),
        application_properties={"trace": "t", "count": 3},
    )
    await harness.send(sent)
    (message,) = await take(source, 1)
    assert (message.body, message.id, message.position, message.key) == (b"\x00\xff", "m-1", "1", "p-1")
    assert (message.content_type, message.source, message.delivery_count) == ("application/json", "hr", 1)
    assert message.headers == {"trace": "t", "count": 3}
    expected = {"message_id": "m-1", "subject": "posting.debit", "correlation_id": "c-1", "sequence_number": 1}
    assert expected.items() <= message.properties.items()
    assert message.enqueued_at is not None
    assert abs(message.enqueued_at - datetime.now(UTC)) < timedelta(seconds=20)


async def test_a_scheduled_message_comes_when_it_is_due_and_a_deferred_one_does_not() -> None:
    """The broker's clock stands still until the test sets it, so that a slow machine makes nothing due too early."""
    now = wall_clock()
    async with new_harness(QueueSettings(), clock=lambda: now) as harness:
        source = await harness.connect()
        await harness.publish([b"deferred"])
        async with (
            ServiceBusClient.from_connection_string(harness.broker.connection_string) as client,
            client.get_subscription_receiver(TOPIC, SUBSCRIPTION) as receiver,
        ):
            (deferred,) = await receiver.receive_messages(1, max_wait_time=5)
            await receiver.defer_message(deferred)
        due = now + 500
        at = datetime.fromtimestamp(due / 1000, UTC)
        await harness.send(ServiceBusMessage(b"scheduled", scheduled_enqueue_time_utc=at), ServiceBusMessage(b"now"))
        assert bodies_of(await take(source, 1)) == [b"now"]
        assert await source.receive(10) == []
        now = due
        assert bodies_of(await take(source, 1)) == [b"scheduled"]
        assert await source.receive(10) == []


async def test_no_more_are_out_than_the_credit_whatever_is_asked_for(harness: ServiceBusHarness) -> None:
    source = harness.another(receive={"max_in_flight": 3})
    await source.connect()
    await harness.publish(bodies(5))
    first = await take(source, 3)
    assert await source.receive(10) == []
    await source.settle([(first[1], ACK)])
    assert len(await take(source, 1)) == 1
    assert await source.receive(10) == []
    assert harness.queue.counts.lock_expired == 0


async def test_a_redelivery_is_counted(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(1))
    for expected in (1, 2, 3):
        (message,) = await take(source, 1)
        assert message.delivery_count == expected
        await source.settle([(message, NACK)])


async def test_a_large_backlog_comes_in_large_batches_and_is_settled_in_full(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish([b"%03d" % number for number in range(500)])
    sizes: list[int] = []
    seen: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        while len(seen) < 500:
            messages = await source.receive(500)
            await source.settle([(message, ACK) for message in messages])
            sizes.append(len(messages))
            seen += [message.body for message in messages]
    counts = harness.queue.counts
    assert max(sizes) >= 64
    assert counts.completed == 500
    # The SDK gives back what comes in after a receive has ended: on a busy machine some messages come twice, and later.
    assert counts.delivered == 500 + counts.released
    assert sorted(seen) == [b"%03d" % number for number in range(500)]
    assert seen == sorted(seen) or counts.released


async def test_a_rejected_message_is_dead_lettered_with_its_reason_within_bounds(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish([b"poison", b"fine"])
    poison, fine = await take(source, 2)
    answer = Disposition(settlement=Settlement.REJECT, reason="decode" * 1000, detail="é" * 5000)
    await source.settle([(poison, answer), (fine, ACK)])
    (dead,) = await harness.dead_letters(1)
    assert (dead.body, dead.properties["dead_letter_reason"]) == (b"poison", ("decode" * 1000)[:1024])
    assert dead.properties["dead_letter_error_description"] == "é" * 2048
    assert harness.queue.counts.completed == 1


async def test_the_dead_letter_queue_is_emptied_like_any_other(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish([b"poison"])
    (poison,) = await take(source, 1)
    await source.settle([(poison, Disposition(settlement=Settlement.REJECT, reason="decode"))])
    dead_letters = harness.another(dead_letter=True)
    await dead_letters.connect()
    (dead,) = await take(dead_letters, 1)
    assert (await dead_letters.backlog()).messages == 1
    await dead_letters.settle([(dead, ACK)])
    assert (await dead_letters.backlog()).messages == 0


async def test_a_queue_is_a_source_too(harness: ServiceBusHarness) -> None:
    queue = {"name": "orders/new", "create_if_missing": {"lock_duration": "30s"}}
    source = harness.another(topic=None, subscription=None, queue=queue)
    await source.connect()
    assert source.warnings == ()
    async with ServiceBusClient.from_connection_string(harness.broker.connection_string) as client:
        await client.get_queue_sender("orders/new").send_messages(ServiceBusMessage(b"order"))
    (message,) = await take(source, 1)
    await source.settle([(message, ACK)])
    assert harness.broker.queue("orders/new").settings.lock_duration == 30_000
    assert (await source.backlog()).messages == 0


async def test_the_backlog_is_what_waits_and_what_is_not_settled(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(7))
    messages = await take(source, 3)
    await source.settle([(messages[0], ACK)])
    assert (await source.backlog()).messages == 6


async def test_deferred_messages_are_no_backlog_that_does_not_move(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    queue = harness.queue
    await harness.publish([b"deferred"] * 150)
    for _ in range(150):
        taken = queue.take(wall_clock())
        assert taken is not None
        assert taken.lock_token is not None
        queue.defer(taken.lock_token, wall_clock())
    await source.backlog()
    assert (await source.backlog()).messages == 0
    await harness.publish(bodies(2))
    messages = await take(source, 2)
    await source.backlog()
    assert (await source.backlog()).messages == 152  # as the broker counts
    await source.settle([(message, ACK) for message in messages])


async def test_who_may_not_administer_counts_by_looking(harness: ServiceBusHarness) -> None:
    own = {"connection_string": harness.broker.connection_string, "administration": "http://127.0.0.1:9"}
    source = harness.another(connection=own)
    await source.connect()
    assert (await source.backlog()).messages == 0
    await harness.publish(bodies(7))
    await take(source, 3)
    assert (await source.backlog()).messages == 7


async def test_a_receiver_that_has_asked_much_is_replaced_before_it_is_not_answered_any_more(
    harness: ServiceBusHarness,
) -> None:
    own = {"connection_string": harness.broker.connection_string, "administration": "http://127.0.0.1:9"}
    source = harness.another(connection=own, max_requests=2)
    await source.connect()
    for _ in range(4):
        await source.backlog()
    await harness.publish(bodies(2))
    assert bodies_of(await take(source, 2)) == bodies(2)
    assert harness.broker.connections == 2  # the publisher's, and one


# Locks


async def test_locks_are_renewed_while_a_batch_is_on_its_way(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(20))
    messages = await take(source, 20)
    await harness.until_renewed()
    assert not any(message.is_lost() for message in messages)
    await source.settle([(message, ACK) for message in messages])
    assert harness.queue.counts.completed == 20
    assert harness.queue.counts.lock_expired == 0


async def test_a_lock_is_not_renewed_for_longer_than_configured(harness: ServiceBusHarness) -> None:
    source = harness.another(receive={"lock_renewal": {"max": "1s"}})
    await source.connect()
    await harness.publish(bodies(1))
    (message,) = await take(source, 1)
    await harness.until(lock_expired=1)
    assert message.is_lost()


async def test_a_lock_that_the_broker_took_away_is_known_to_be_lost_and_settling_it_is_no_error(
    harness: ServiceBusHarness,
) -> None:
    source = await harness.connect()
    await harness.publish(bodies(2))
    lost = await take(source, 2)
    harness.broker.expire_locks(PATH)
    async with asyncio.timeout(PATIENCE):
        while not all(message.is_lost() for message in lost):
            await asyncio.sleep(0.05)
    again = await take(source, 2)
    await source.settle([(message, ACK) for message in [*lost, *again]])
    assert bodies_of(again) == bodies_of(lost)
    assert harness.queue.counts.completed == 2


async def test_a_settlement_that_comes_too_late_is_no_error(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(2))
    messages = await take(source, 2)
    harness.broker.expire_locks(PATH)
    await source.settle([(message, ACK) for message in messages])
    assert harness.queue.counts.completed == 0
    assert bodies_of(await take(source, 2)) == bodies(2)


async def test_a_broker_that_is_too_busy_to_renew_is_asked_again(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(1))
    (message,) = await take(source, 1)
    harness.broker.faults.fail_requests(operation="com.microsoft:renew-lock", times=2)
    await harness.until_renewed()
    assert not message.is_lost()
    await source.settle([(message, ACK)])
    assert harness.queue.counts.completed == 1


async def test_closing_gives_back_what_is_not_settled_at_once(harness: ServiceBusHarness) -> None:
    source = await harness.connect()
    await harness.publish(bodies(3))
    messages = await take(source, 3)
    await source.close()
    assert all(message.is_lost() for message in messages)
    assert harness.queue.counts.abandoned == 3
    await source.connect()
    assert [message.delivery_count for message in await take(source, 3)] == [2, 2, 2]
