"""Publishing to RabbitMQ returns when the broker has the messages, and says so when it has not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from connectors.base import OutMessage
from connectors.errors import AuthenticationError, NotConnectedError, PublishError, TopologyError
from connectors.rabbitmq import RabbitMqPublisher, RabbitMqPublisherSettings
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.relay import Relay
from tests.connectors.behaviour import PATIENCE


def publisher(url: str, **changes: Any) -> RabbitMqPublisher:
    return RabbitMqPublisher("receipts", RabbitMqPublisherSettings.model_validate({"url": url} | changes))


@pytest.fixture
def queue(rabbitmq: RabbitMq) -> str:
    name = f"test.{uuid4().hex[:12]}"
    queues.declare(rabbitmq.url, name, {"x-queue-type": "quorum"})
    return name


@pytest.fixture
async def connected(rabbitmq: RabbitMq) -> AsyncIterator[RabbitMqPublisher]:
    connected = publisher(rabbitmq.url, confirm_timeout="20s")
    await connected.connect()
    yield connected
    await connected.close()


def message(destination: str, number: int = 0) -> OutMessage:
    return OutMessage(id=f"m{number}", body=b"%d" % number, destination=destination)


async def test_when_publish_returns_the_broker_has_every_message(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher
) -> None:
    await connected.publish([message(queue, number) for number in range(500)])
    assert queues.count(rabbitmq.url, queue, expected=500) == 500


async def test_publishing_nothing_is_done_at_once(connected: RabbitMqPublisher) -> None:
    await connected.publish([])


async def test_calls_at_the_same_time_get_their_own_confirms(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher
) -> None:
    calls = [connected.publish([message(queue, 10 * call + each) for each in range(10)]) for call in range(10)]
    unroutable = connected.publish([message("nowhere")])
    results = await asyncio.gather(*calls, unroutable, return_exceptions=True)
    assert results[:10] == [None] * 10
    assert isinstance(results[10], PublishError)
    assert queues.count(rabbitmq.url, queue, expected=100) == 100


async def test_what_is_said_of_a_message_arrives_with_it(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher
) -> None:
    body = bytes(range(256)) * 4096  # several frames
    out = OutMessage(id="m-1", body=body, destination=queue, content_type="text/plain", headers={"reason": "decode"})
    await connected.publish([out])
    with queues.channel(rabbitmq.url) as channel:
        _, properties, arrived = channel.basic_get(queue, auto_ack=True)
    assert arrived == body
    assert (properties.message_id, properties.content_type, properties.delivery_mode) == ("m-1", "text/plain", 2)
    assert properties.headers["reason"] == "decode"


@pytest.mark.parametrize("name", ["CC", "BCC"])
@pytest.mark.parametrize("copy_to", [list, str])
async def test_a_header_of_the_original_sends_no_copies_elsewhere(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher, name: str, copy_to: type
) -> None:
    other = f"{queue}.other"
    queues.declare(rabbitmq.url, other, {})
    original = [other] if copy_to is list else f"['{other}']"
    await connected.publish([OutMessage(id="m-1", body=b"x", destination=queue, headers={name: original})])
    ((_, headers),) = queues.drain(rabbitmq.url, queue)
    assert headers[f"original-{name}"] == original
    assert queues.count(rabbitmq.url, other, expected=0) == 0


async def test_what_amqp_has_no_room_for_does_not_keep_the_message_back(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher
) -> None:
    headers = {"reason": "decode", "huge": "h" * 200_000, "ä" * 200: "long name"}
    many = {f"header-{number}": "v" * 100 for number in range(2000)}
    await connected.publish(
        [
            OutMessage(id="m-1", body=b"1", destination=queue, content_type="t" * 256, headers=headers),
            OutMessage(id="m-2", body=b"2", destination=queue, headers=many),
        ]
    )
    (first, left), (second, _) = queues.drain(rabbitmq.url, queue)
    assert (first, second) == (b"1", b"2")
    assert left["reason"] == "decode"
    assert left["left-out-headers"] == "ä" * 200 + ", huge"


async def test_a_message_that_no_queue_takes_is_not_published_and_is_named(
    rabbitmq: RabbitMq, queue: str, connected: RabbitMqPublisher
) -> None:
    messages = [message(queue, 1), message("nowhere", 2), message(queue, 3)]
    with pytest.raises(PublishError, match="1 of 3 not published: m2: NO_ROUTE") as refused:
        await connected.publish(messages)
    assert refused.value.published == {"m1", "m3"}
    assert queues.count(rabbitmq.url, queue, expected=2) == 2
    await connected.publish([message(queue, 2)])


async def test_a_message_that_cannot_be_written_is_refused_and_the_next_is_not(
    queue: str, connected: RabbitMqPublisher
) -> None:
    with pytest.raises(PublishError, match="m0 cannot be sent"):
        await connected.publish([message("k" * 300)])
    await connected.publish([message(queue)])


async def test_an_exchange_routes_by_destination(rabbitmq: RabbitMq, queue: str) -> None:
    with queues.channel(rabbitmq.url) as channel:
        channel.exchange_declare(f"{queue}.x", "topic", durable=True)
        channel.queue_bind(queue, f"{queue}.x", "dead.#")
    routed = publisher(rabbitmq.url, exchange=f"{queue}.x")
    await routed.connect()
    await routed.publish([message("dead.orders")])
    assert queues.count(rabbitmq.url, queue, expected=1) == 1
    await routed.close()


async def test_a_missing_exchange_is_known_at_connect(rabbitmq: RabbitMq) -> None:
    with pytest.raises(TopologyError, match="'nowhere' does not exist"):
        await publisher(rabbitmq.url, exchange="nowhere").connect()


async def test_a_wrong_password_is_refused_as_such(rabbitmq: RabbitMq) -> None:
    with pytest.raises(AuthenticationError, match="Login was refused"):
        await publisher(f"amqp://guest:wrong@127.0.0.1:{rabbitmq.port}/%2F").connect()


async def test_a_connection_lost_while_waiting_for_confirms_is_told(rabbitmq: RabbitMq, queue: str) -> None:
    async with Relay(rabbitmq.port) as relay:
        cut_off = publisher(f"amqp://guest:guest@127.0.0.1:{relay.port}/%2F")
        await cut_off.connect()
        relay.stall()
        publishing = asyncio.create_task(cut_off.publish([message(queue)]))
        await asyncio.sleep(0)
        await relay.cut()
        with pytest.raises(NotConnectedError):
            await publishing
        with pytest.raises(NotConnectedError):
            await cut_off.publish([message(queue)])
        relay.flow()
        await cut_off.close()
        await cut_off.connect()
        await cut_off.publish([message(queue)])
        await cut_off.close()
        await cut_off.close()
        with pytest.raises(NotConnectedError):
            await cut_off.publish([message(queue)])


async def test_a_broker_that_blocks_publishers_is_told_in_time_and_publishing_resumes_after_it(
    rabbitmq: RabbitMq, queue: str
) -> None:
    impatient = publisher(rabbitmq.url, confirm_timeout=0.3)
    await impatient.connect()
    await asyncio.to_thread(rabbitmq.raise_memory_alarm)
    published = 0

    async def publish_on() -> None:
        nonlocal published
        while True:  # the alarm may be later than the first
            published += 1
            await impatient.publish([message(queue, published)])

    try:
        with pytest.raises(PublishError, match=r"no confirm within 0\.3 s"):
            await publish_on()
    finally:
        await asyncio.to_thread(rabbitmq.clear_memory_alarm)
    async with asyncio.timeout(PATIENCE):
        while queues.count(rabbitmq.url, queue) < published:  # it was taken in the end: unknown means unknown
            await asyncio.sleep(0.05)
        while True:
            with suppress(PublishError):  # a slow disk takes 0.3 s too
                await impatient.publish([message(queue, published + 1)])
                break
    await impatient.close()


async def test_a_broker_that_blocks_for_too_long_loses_the_connection(rabbitmq: RabbitMq, queue: str) -> None:
    impatient = publisher(rabbitmq.url, blocked_timeout=0.3)
    await impatient.connect()

    async def publish_on() -> None:
        while True:  # the alarm may be later than the first
            await impatient.publish([message(queue)])

    await asyncio.to_thread(rabbitmq.raise_memory_alarm)
    try:
        with pytest.raises(NotConnectedError):
            await publish_on()
    finally:
        await asyncio.to_thread(rabbitmq.clear_memory_alarm)
        await impatient.close()
