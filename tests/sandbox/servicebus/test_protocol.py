"""What AMQP asks of a broker, where the SDK is too polite to find out."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from sandbox.servicebus import QueueSettings, ServiceBus
from sandbox.servicebus.amqp.delivery_states import accepted
from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.amqp.framing import HEARTBEAT, MAX_FRAME_SIZE, frame
from sandbox.servicebus.amqp.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Transfer,
)
from sandbox.servicebus.amqp.types import UInt, ULong
from sandbox.servicebus.content import APPLICATION_PROPERTIES, DATA, PROPERTIES, VALUE, read_content
from tests.sandbox.servicebus.raw import RawClient, raw_client

BODY = encode_described(DATA, encode(bytes(range(256)) * 10))
QUEUE, REPLIES, REQUESTS = 1, 2, 3


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBus]:
    async with ServiceBus() as running:
        running.create_queue("q", QueueSettings(lock_duration=60_000))
        yield running


def fill(broker: ServiceBus, count: int) -> None:
    for _ in range(count):
        broker.queue("q").enqueue(read_content(BODY), 0)


async def receiving(client: RawClient, *, credit: int, **opening: int) -> None:
    """Open, and attach to the queue with some credit."""
    client.open(**opening)
    client.attach("q", handle=QUEUE, receives=True)
    client.flow(handle=QUEUE, delivery_count=UInt(0), link_credit=UInt(credit), window=opening.get("window", 1000))
    attached, _ = await client.next(Attach)
    assert attached.initial_delivery_count == 0


async def test_a_message_is_cut_into_frames_that_the_client_takes(broker: ServiceBus) -> None:
    fill(broker, 1)
    async with raw_client(broker) as client:
        await receiving(client, credit=1, max_frame_size=512)
        whole, more = b"", True
        while more:
            transfer, payload = await client.next(Transfer)
            assert len(frame(0, transfer.encode() + payload)) <= 512
            whole, more = whole + payload, bool(transfer.more)
        assert whole.endswith(BODY)


async def test_no_more_messages_come_than_there_is_credit(broker: ServiceBus) -> None:
    fill(broker, 5)
    async with raw_client(broker) as client:
        await receiving(client, credit=2)
        for _ in range(2):
            await client.next(Transfer)
        assert await client.says_nothing_of(Transfer)
        client.flow(handle=QUEUE, seen=3, delivery_count=UInt(2), link_credit=UInt(1))
        await client.next(Transfer)
        assert broker.queue("q").counts.delivered == 3


async def test_no_more_frames_come_than_the_session_has_room_for(broker: ServiceBus) -> None:
    fill(broker, 3)
    async with raw_client(broker) as client:
        await receiving(client, credit=3, window=2)
        for _ in range(2):
            await client.next(Transfer)
        assert await client.says_nothing_of(Transfer, seen=1, window=2)  # the two are still under way
        client.flow(seen=3, window=1)
        await client.next(Transfer)


async def test_a_drained_link_gives_what_there_is_and_uses_up_its_credit(broker: ServiceBus) -> None:
    fill(broker, 1)
    async with raw_client(broker) as client:
        await receiving(client, credit=0)
        client.flow(handle=QUEUE, delivery_count=UInt(0), link_credit=UInt(10), drain=True)
        await client.next(Transfer)
        drained, _ = await client.next(Flow)
        assert (drained.delivery_count, drained.link_credit, drained.drain) == (10, 0, True)


async def test_one_disposition_settles_a_range(broker: ServiceBus) -> None:
    fill(broker, 3)
    async with raw_client(broker) as client:
        await receiving(client, credit=3)
        ids = [(await client.next(Transfer))[0].delivery_id for _ in range(3)]
        assert ids[0] is not None
        client.say(Disposition(role=True, first=ids[0], last=UInt(2**32 - 1), state=accepted()))
        answered = [(await client.next(Disposition))[0].first for _ in range(3)]
        assert answered == ids
        assert broker.queue("q").counts.completed == 3


async def test_what_is_said_on_a_channel_or_handle_that_is_over_is_not_heard(broker: ServiceBus) -> None:
    async with raw_client(broker) as client:
        client.open()
        client.say(Detach(UInt(9), closed=True), channel=5)
        client.say(Transfer(UInt(9), UInt(0), b"t"), BODY)
        client.say(Disposition(role=True, first=UInt(7), state=accepted()))
        client.say(End())
        await client.next(End)
        client.say(Begin(None, UInt(0), UInt(10), UInt(10)))
        await client.next(Begin)


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        (b"HTTP/1.1", "amqp:decode-error"),
        (frame(0, b"\x00"), "amqp:decode-error"),
        (b"\xff\xff\xff\xff\x02\x00\x00\x00", "amqp:decode-error"),
        (frame(0, Attach("l", UInt(256), role=True).encode()), "amqp:session:handle-in-use"),
    ],
)
async def test_what_makes_no_sense_closes_the_connection_with_the_reason(
    said: bytes, condition: str, broker: ServiceBus
) -> None:
    async with raw_client(broker) as client:
        client.open()
        client.write(said)
        closed, _ = await client.next(Close)
        assert closed.error is not None
        assert closed.error.value[0] == condition
        assert await client.ended()


async def test_a_frame_may_be_as_large_as_the_broker_has_said_and_not_larger(broker: ServiceBus) -> None:
    async with raw_client(broker) as client:
        client.open()
        client.attach("q", handle=QUEUE, receives=False)
        transfer = Transfer(UInt(QUEUE), UInt(0), b"t")
        room = MAX_FRAME_SIZE - len(frame(0, transfer.encode())) - 8
        client.say(transfer, encode_described(DATA, encode(b"x" * room)))
        taken, _ = await client.next(Disposition)
        assert taken.state == accepted()
        client.say(transfer, encode_described(DATA, encode(b"x" * (room + 1))))
        await client.next(Close)


async def test_a_client_that_wants_signs_of_life_gets_them(broker: ServiceBus) -> None:
    async with raw_client(broker) as client:
        client.open(idle_time_out=20)
        await client.next(Begin)
        client.write(HEARTBEAT)
        await client.heartbeat()


@pytest.mark.parametrize("strict", [False, True])
async def test_answers_of_management_wait_for_credit_only_where_that_is_wanted(
    strict: bool, broker: ServiceBus
) -> None:
    broker.faults.strict_management_credit = strict
    request = b"".join(
        (
            encode_described(PROPERTIES, encode([UUID(int=7)])),
            encode_described(APPLICATION_PROPERTIES, encode({"operation": "com.microsoft:peek-message"})),
            encode_described(VALUE, encode({"from-sequence-number": 1, "message-count": 1})),
        )
    )
    async with raw_client(broker) as client:
        client.open()
        client.attach("q/$management", handle=REPLIES, receives=True)
        client.attach("q/$management", handle=REQUESTS, receives=False)
        client.say(Transfer(UInt(REQUESTS), UInt(0), b"t"), request)
        await client.next(Disposition)
        assert await client.says_nothing_of(Transfer) is strict
        client.flow(handle=REPLIES, delivery_count=UInt(0), link_credit=UInt(1))
        if strict:
            _, payload = await client.next(Transfer)
            answer = read_content(payload)
            assert answer.properties["correlation-id"] == UUID(int=7)
            assert answer.application_properties["statusCode"] == 204


async def test_what_the_management_does_not_know_is_said_to_be_not_implemented(broker: ServiceBus) -> None:
    request = encode_described(APPLICATION_PROPERTIES, encode({"operation": "com.microsoft:dance"})) + encode_described(
        VALUE, encode({"lock": ULong(1)})
    )
    async with raw_client(broker) as client:
        client.open()
        client.attach("q/$management", handle=REPLIES, receives=True)
        client.attach("q/$management", handle=REQUESTS, receives=False)
        client.say(Transfer(UInt(REQUESTS), UInt(0), b"t"), request)
        _, payload = await client.next(Transfer)
        answer = read_content(payload).application_properties
        assert (answer["statusCode"], answer["errorCondition"]) == (501, "amqp:not-implemented")
