"""A RabbitMQ queue as a source: the shared behaviour, topology, redelivery, and every way to lose a connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pika.exceptions import ChannelClosedByBroker

from connectors.base import ACK, NACK, Message
from connectors.errors import AuthenticationError, NotConnectedError, TopologyError
from connectors.rabbitmq import RabbitMqSettings, RabbitMqSource
from connectors.rabbitmq.timing import Timing
from sandbox.tls import Authority
from tests.brokers import queues
from tests.brokers.rabbitmq import NativeRabbitMq, RabbitMq
from tests.brokers.relay import Relay
from tests.connectors.behaviour import (
    PATIENCE,
    REJECT,
    SourceBehaviour,
    bodies,
    bodies_of,
    lose,
    reconnect,
    stands,
    take,
    waiting,
)
from tests.ports import free_ports

QUORUM = {"type": "quorum", "delivery_limit": 20}


def settings(url: str, name: str, /, **changes: Any) -> RabbitMqSettings:
    return RabbitMqSettings.model_validate({"url": url, "queue": {"name": name, "create_if_missing": QUORUM}} | changes)


def quick(name: str, settings: RabbitMqSettings, *, close: float = Timing().close) -> RabbitMqSource:
    """A source whose idle answer and fresh count do not take their second."""
    return RabbitMqSource(name, settings, timing=Timing(idle_wait=0.1, backlog_age=0.0, close=close))


@pytest.fixture
def queue() -> str:
    return f"test.{uuid4().hex[:12]}"


@pytest.fixture
async def relay(rabbitmq: RabbitMq) -> AsyncIterator[Relay]:
    async with Relay(rabbitmq.port) as relay:
        yield relay


def behind(relay: Relay) -> str:
    return f"amqp://guest:guest@127.0.0.1:{relay.port}/%2F"


@dataclass
class AmqpHarness:
    source: RabbitMqSource
    queue: str
    broker: RabbitMq
    relay: Relay

    async def publish(self, bodies: Sequence[bytes]) -> None:
        await asyncio.to_thread(queues.publish, self.broker.url, self.queue, bodies)

    async def lose_connection(self) -> None:
        await self.relay.cut()


@pytest.fixture
async def harness(rabbitmq: RabbitMq, relay: Relay, queue: str) -> AsyncIterator[AmqpHarness]:
    source = quick("orders", settings(behind(relay), queue))
    yield AmqpHarness(source, queue, rabbitmq, relay)
    await source.close()


class TestRabbitMqSource(SourceBehaviour):
    """The shared behaviour; its harness is the fixture above."""


async def test_a_message_carries_what_its_publisher_said(harness: AmqpHarness) -> None:
    await harness.source.connect()
    queues.publish(
        harness.broker.url,
        harness.queue,
        [b"\x00\xff"],
        message_id="m-1",
        content_type="application/json",
        correlation_id="c-1",
        type="order.shipped",
        timestamp=1_772_000_000,
        headers={"trace": "t", "raw": b"\xff", "count": 3, "nested": {"list": [True, None]}},
    )
    (message,) = await take(harness.source, 1)
    assert message.body == b"\x00\xff"
    assert (message.id, message.content_type, message.source) == ("m-1", "application/json", "orders")
    assert message.enqueued_at == datetime.fromtimestamp(1_772_000_000, UTC)
    assert message.headers == {"trace": "t", "raw": b"\xff", "count": 3, "nested": {"list": [True, None]}}
    expected = {"message_id": "m-1", "correlation_id": "c-1", "type": "order.shipped", "exchange": ""}
    assert expected.items() <= message.properties.items()
    assert message.properties["routing_key"] == harness.queue


async def test_a_message_without_properties_is_a_message(harness: AmqpHarness) -> None:
    await harness.source.connect()
    queues.publish(harness.broker.url, harness.queue, [b""], timestamp=1_772_000_000_000)  # milliseconds, by mistake
    (message,) = await take(harness.source, 1)
    assert (message.body, message.id, message.content_type, message.enqueued_at) == (b"", None, None, None)
    assert message.headers == {}


async def test_a_body_of_five_megabytes_passes(harness: AmqpHarness) -> None:
    await harness.source.connect()
    body = bytes(range(256)) * (5 * 4096)
    await harness.publish([body, b"after"])
    large, small = await take(harness.source, 2)
    assert (large.body, small.body) == (body, b"after")
    await harness.source.settle([(large, ACK), (small, ACK)])
    assert await waiting(harness.source, 0) == []


async def test_no_more_are_out_than_the_prefetch(harness: AmqpHarness) -> None:
    limited = quick("limited", settings(harness.broker.url, harness.queue, receive={"prefetch": 3}))
    await limited.connect()
    await harness.publish(bodies(5))
    first = await take(limited, 3)
    assert await limited.receive(10) == []
    await limited.settle([(first[1], ACK)])
    assert len(await take(limited, 1)) == 1
    assert await limited.receive(10) == []
    await limited.close()


async def test_no_more_are_in_flight_than_may_be_though_the_broker_hands_out_more(harness: AmqpHarness) -> None:
    receive = {"max_in_flight": 2, "prefetch": 5}
    limited = quick("limited", settings(harness.broker.url, harness.queue, receive=receive))
    await limited.connect()
    await harness.publish(bodies(5))
    first, second = await take(limited, 2)
    assert await limited.receive(10) == []
    waiting_for_room = asyncio.create_task(limited.receive(10))
    await limited.settle([(first, ACK), (second, NACK)])
    assert len([*await waiting_for_room, *await limited.receive(10)]) == 2
    await limited.close()


async def test_a_redelivery_is_counted(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(1))
    for expected in (1, 2, 3):
        (message,) = await take(harness.source, 1)
        assert message.delivery_count == expected
        await harness.source.settle([(message, NACK)])


async def test_a_redelivery_of_a_classic_queue_is_known_as_one(harness: AmqpHarness) -> None:
    classic = {"name": harness.queue, "create_if_missing": {"type": "classic"}}
    source = quick("classic", settings(harness.broker.url, harness.queue, queue=classic))
    await source.connect()
    await harness.publish(bodies(1))
    assert [message.delivery_count for message in await take(source, 1)] == [1]
    await reconnect(source)
    assert [message.delivery_count for message in await take(source, 1)] == [2]
    await source.close()


async def test_the_backlog_is_what_waits_and_what_is_not_settled(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(7))
    messages = await take(harness.source, 3)
    await harness.source.settle([(messages[0], ACK)])
    async with asyncio.timeout(PATIENCE):
        while (await harness.source.backlog()).messages != 6:
            await asyncio.sleep(0.01)


# Topology


def arguments_accepted(url: str, queue: str, arguments: dict[str, Any]) -> bool:
    """Whether the queue has exactly these arguments: only then may it be declared again."""
    try:
        with queues.channel(url) as channel:
            channel.queue_declare(queue, durable=True, arguments=arguments)
    except ChannelClosedByBroker:
        return False
    return True


async def test_a_missing_queue_is_created_as_a_quorum_queue_with_a_dead_letter_queue(harness: AmqpHarness) -> None:
    await harness.source.connect()
    expected = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": f"{harness.queue}.dlx",
    }
    assert arguments_accepted(harness.broker.url, harness.queue, expected)
    await reconnect(harness.source)  # it exists now, and is as it should be


async def test_a_rejected_message_goes_to_the_dead_letter_queue(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(2))
    first, second = await take(harness.source, 2)
    await harness.source.settle([(first, REJECT), (second, ACK)])
    async with asyncio.timeout(PATIENCE):
        while not (dead := queues.drain(harness.broker.url, f"{harness.queue}.dead-letter")):
            await asyncio.sleep(0.01)
    ((body, headers),) = dead
    assert body == first.body
    assert headers["x-first-death-reason"] == "rejected"


async def test_a_message_given_back_too_often_goes_to_the_dead_letter_queue(harness: AmqpHarness) -> None:
    limited = {"name": harness.queue, "create_if_missing": {"delivery_limit": 2}}
    source = quick("limited", settings(harness.broker.url, harness.queue, queue=limited))
    await source.connect()
    await harness.publish(bodies(1))
    for _ in range(3):
        (message,) = await take(source, 1)
        await source.settle([(message, NACK)])
    async with asyncio.timeout(PATIENCE):
        while not (dead := queues.drain(harness.broker.url, f"{harness.queue}.dead-letter")):
            await asyncio.sleep(0.01)
    assert [headers["x-first-death-reason"] for _, headers in dead] == ["delivery_limit"]
    await source.close()


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        ({}, "x-dead-letter-exchange: configured 'QUEUE.dlx', at the broker none"),
        (
            {"x-queue-type": "classic", "x-dead-letter-exchange": "QUEUE.dlx"},
            "x-queue-type: configured 'quorum', at the broker 'classic'",
        ),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 3},
            "x-dead-letter-exchange: configured 'QUEUE.dlx', at the broker none",
        ),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": "QUEUE.dlx"},
            "x-delivery-limit: configured '20', at the broker '3'",
        ),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 20, "x-dead-letter-exchange": "other"},
            "x-dead-letter-exchange: configured 'QUEUE.dlx', at the broker 'other'",
        ),
    ],
)
async def test_a_queue_with_other_settings_is_reported_and_left_alone(
    harness: AmqpHarness, arguments: dict[str, Any], difference: str
) -> None:
    def named(value: Any) -> Any:
        return value.replace("QUEUE", harness.queue) if isinstance(value, str) else value

    actual = {name: named(value) for name, value in arguments.items()}
    queues.declare(harness.broker.url, harness.queue, actual)
    queues.publish(harness.broker.url, harness.queue, [b"untouched"])
    with pytest.raises(TopologyError, match="left alone") as refused:
        await harness.source.connect()
    assert refused.value.differences == (named(difference),)
    assert arguments_accepted(harness.broker.url, harness.queue, actual)
    assert queues.count(harness.broker.url, harness.queue, expected=1) == 1
    with pytest.raises(ChannelClosedByBroker):
        queues.count(harness.broker.url, f"{harness.queue}.dead-letter")


async def test_without_create_if_missing_a_queue_is_taken_as_it_is(harness: AmqpHarness) -> None:
    source = quick("as it is", settings(harness.broker.url, harness.queue, queue={"name": harness.queue}))
    with pytest.raises(TopologyError, match="does not exist"):
        await source.connect()
    queues.declare(harness.broker.url, harness.queue, {"x-max-length": 10})
    await source.connect()
    await harness.publish(bodies(1))
    assert bodies_of(await take(source, 1)) == bodies(1)
    await source.close()


async def test_exchange_and_bindings_are_created_if_missing(harness: AmqpHarness) -> None:
    exchange = f"{harness.queue}.shop"
    new = {"exchange": exchange, "type": "topic", "create_if_missing": {}}
    bind = [new | {"key": key} for key in ("order.shipped.#", "order.lost")]
    source = quick("bound", settings(harness.broker.url, harness.queue, bind=bind))
    await source.connect()
    with queues.channel(harness.broker.url) as channel:
        channel.confirm_delivery()
        for key in ("order.shipped.today", "order.placed", "order.lost"):
            channel.basic_publish(exchange, key, key.encode())
    messages = await take(source, 2)
    assert bodies_of(messages) == [b"order.lost", b"order.shipped.today"]
    assert {message.properties["exchange"] for message in messages} == {exchange}
    await source.close()


async def test_what_is_created_is_named_in_the_log_once(harness: AmqpHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pushbridge")
    bind = [{"exchange": f"{harness.queue}.shop", "type": "topic", "key": "#", "create_if_missing": {}}]
    source = quick("bound", settings(harness.broker.url, harness.queue, bind=bind))
    for _ in range(2):
        await source.connect()
        await source.close()
    assert [record.getMessage() for record in caplog.records if record.name == "pushbridge"] == [
        f"source bound: created {what} at the broker"
        for what in (
            f"queue '{harness.queue}.dead-letter'",
            f"fanout exchange '{harness.queue}.dlx'",
            f"queue '{harness.queue}'",
            f"topic exchange '{harness.queue}.shop'",
        )
    ]


async def test_a_misspelt_exchange_is_named_and_nothing_is_created(
    harness: AmqpHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pushbridge")
    exchange = f"{harness.queue}.shpo"
    source = quick("bound", settings(harness.broker.url, harness.queue, bind=[{"exchange": exchange}]))
    with pytest.raises(TopologyError, match=f"exchange '{exchange}' does not exist.* write create_if_missing: {{}}"):
        await source.connect()
    for declare, name in (("exchange_declare", exchange), ("queue_declare", harness.queue)):
        with queues.channel(harness.broker.url) as channel, pytest.raises(ChannelClosedByBroker, match="no "):
            getattr(channel, declare)(name, passive=True)
    assert [record for record in caplog.records if record.name == "pushbridge"] == []


async def test_an_exchange_of_another_type_is_reported_and_one_with_other_options_is_its_owners(
    harness: AmqpHarness,
) -> None:
    exchange = f"{harness.queue}.shop"
    with queues.channel(harness.broker.url) as channel:
        channel.exchange_declare(exchange, "direct", durable=False, arguments={"alternate-exchange": "amq.fanout"})
    for kind in ("direct", "topic"):
        bind = [{"exchange": exchange, "type": kind, "key": "k"}]
        source = quick("bound", settings(harness.broker.url, harness.queue, bind=bind))
        if kind == "topic":
            with pytest.raises(TopologyError) as refused:
                await source.connect()
            assert refused.value.differences == ("type: configured 'topic', at the broker 'direct'",)
        else:
            await source.connect()
            await source.close()


async def test_a_user_who_may_only_read_needs_no_more_than_that(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.source.close()
    user = harness.queue
    harness.broker.control("add_user", user, "secret")
    harness.broker.control("set_permissions", user, "^$", "^$", ".*")
    url = f"amqp://{user}:secret@127.0.0.1:{harness.broker.port}/%2F"
    await harness.publish(bodies(1))
    reader = quick("reader", settings(url, harness.queue, queue={"name": harness.queue}))
    await reader.connect()
    assert bodies_of(await take(reader, 1)) == bodies(1)
    await reader.close()

    harness.broker.control("set_permissions", user, "^$", "^$", "^$")
    with pytest.raises(TopologyError, match="ACCESS_REFUSED"):
        await reader.connect()


# Loss and recovery


@pytest.mark.parametrize(
    ("user", "vhost", "complaint"), [("guest:wrong", "%2F", "Login was refused"), ("guest:guest", "none", "not found")]
)
async def test_wrong_credentials_are_refused_as_such(
    rabbitmq: RabbitMq, queue: str, user: str, vhost: str, complaint: str
) -> None:
    source = quick("orders", settings(f"amqp://{user}@127.0.0.1:{rabbitmq.port}/{vhost}", queue))
    with pytest.raises(AuthenticationError, match=complaint) as refused:
        await source.connect()
    assert "wrong" not in str(refused.value)
    await source.close()


async def test_a_file_of_the_url_that_is_missing_is_named(queue: str) -> None:
    source = quick("orders", settings("amqps://localhost/?ssl_options={'cafile': '/nowhere.pem'}", queue))
    with pytest.raises(NotConnectedError, match="a file of its TLS settings cannot be read"):
        await source.connect()


async def test_a_broker_that_is_not_there_is_no_connection(relay: Relay, queue: str) -> None:
    relay.refuse()
    source = quick("orders", settings(behind(relay), queue))
    with pytest.raises(NotConnectedError, match=r"cannot connect to 127\.0\.0\.1"):
        await source.connect()
    await source.close()


async def test_a_stream_is_refused_by_name_with_its_first_message(rabbitmq: RabbitMq, queue: str) -> None:
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "stream"})
    source = quick("orders", settings(rabbitmq.url, queue, queue={"name": queue}))
    await source.connect()
    queues.publish(rabbitmq.url, queue, [b"1"])
    with pytest.raises(TopologyError, match="is a stream, and streams are not supported"):
        await take(source, 1)
    await source.close()


async def test_a_stream_in_the_place_of_a_queue_to_create_is_reported(rabbitmq: RabbitMq, queue: str) -> None:
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "stream"})
    source = quick("orders", settings(rabbitmq.url, queue))
    with pytest.raises(TopologyError, match="exists with other settings"):
        await source.connect()


async def test_the_first_of_several_brokers_that_answers_is_taken(rabbitmq: RabbitMq, relay: Relay, queue: str) -> None:
    (nobody,) = free_ports(1)
    away = f"amqp://guest:guest@127.0.0.1:{nobody}/"
    source = quick("orders", settings(rabbitmq.url, queue, url=[away, behind(relay), rabbitmq.url]))
    await source.connect()
    queues.publish(rabbitmq.url, queue, [b"1"])
    (message,) = await take(source, 1)
    await relay.cut()
    relay.refuse()  # a node that is gone: the next one serves
    await source.close()
    await source.connect()
    (again,) = await take(source, 1)
    assert again.body == message.body
    await source.settle([(again, ACK)])
    await source.close()


async def test_each_of_several_brokers_that_do_not_answer_is_named(queue: str) -> None:
    ports = free_ports(2)
    urls = [f"amqp://guest:canary@127.0.0.1:{port}/" for port in ports]
    with pytest.raises(NotConnectedError) as caught:
        await quick("orders", settings(urls[0], queue, url=urls)).connect()
    assert all(f"127.0.0.1:{port}: Connection refused" in str(caught.value) for port in ports)
    assert "canary" not in str(caught.value)


async def test_tls_trusts_its_own_authority_and_nobody_else(rabbitmq: RabbitMq, queue: str, tmp_path: Path) -> None:
    if not isinstance(rabbitmq, NativeRabbitMq):
        return  # a container has no port for it
    url = f"amqps://guest:guest@127.0.0.1:{rabbitmq.tls_port}/"
    source = quick("orders", settings(url, queue, tls={"ca_file": str(rabbitmq.directory / "ca.pem")}))
    await source.connect()
    queues.publish(rabbitmq.url, queue, [b"1"])
    assert [message.body for message in await take(source, 1)] == [b"1"]
    await source.close()
    another = Authority(tmp_path)
    for tls in ({}, {"tls": {"ca_file": str(another.ca_file)}}):
        with pytest.raises(NotConnectedError, match="certificate verify failed"):
            await quick("orders", settings(url, queue, **tls)).connect()


async def test_a_message_that_is_held_for_too_long_costs_the_channel_and_comes_again(harness: AmqpHarness) -> None:
    await asyncio.to_thread(harness.broker.limit_acknowledgements, 1.0)
    try:
        await harness.source.connect()
        await harness.publish([b"slow"])
        (held,) = await take(harness.source, 1)
        with pytest.raises(NotConnectedError, match="delivery acknowledgement"):
            await take(harness.source, 1)
        assert held.is_lost()
    finally:
        await asyncio.to_thread(harness.broker.limit_acknowledgements, None)
    await harness.source.close()
    await harness.source.connect()
    await harness.source.settle([(held, ACK)])  # of a channel that is gone: passed over
    (again,) = await take(harness.source, 1)
    assert (again.body, again.delivery_count) == (b"slow", 2)


async def test_a_deleted_queue_ends_the_connection_and_a_new_one_creates_it_again(harness: AmqpHarness) -> None:
    await harness.source.connect()
    queues.delete(harness.broker.url, harness.queue)
    async with asyncio.timeout(PATIENCE):
        while await stands(harness.source):
            pass
    with pytest.raises(NotConnectedError, match="is the queue gone"):
        await harness.source.receive(1)
    await reconnect(harness.source)
    await harness.publish(bodies(1))
    assert bodies_of(await take(harness.source, 1)) == bodies(1)


async def test_settling_over_a_lost_connection_says_so(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(1))
    (message,) = await take(harness.source, 1)
    await lose(harness)
    with pytest.raises(NotConnectedError):
        await harness.source.settle([(message, ACK)])
    await harness.source.close()
    await harness.source.settle([(message, ACK)])  # stale by now, and quiet


async def test_a_connection_closed_by_the_operator_is_rebuilt(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(2))
    await take(harness.source, 2)
    await asyncio.to_thread(harness.broker.close_connections)
    async with asyncio.timeout(PATIENCE):
        while await stands(harness.source):
            pass
    again = await waiting(harness.source, 2)
    assert [message.delivery_count for message in again] == [2, 2]


async def test_a_silent_network_is_noticed_by_the_heartbeat_and_closing_does_not_wait_for_it(
    harness: AmqpHarness, relay: Relay
) -> None:
    source = quick("orders", settings(behind(relay), harness.queue, receive={"heartbeat": 1}), close=600)
    await source.connect()
    relay.stall()
    async with asyncio.timeout(PATIENCE):
        while await stands(source):
            pass
    async with asyncio.timeout(PATIENCE):
        await source.close()


async def test_closing_a_connection_that_went_silent_takes_seconds_at_most(relay: Relay, queue: str) -> None:
    source = quick("orders", settings(behind(relay), queue), close=0.1)
    await source.connect()
    relay.stall()
    async with asyncio.timeout(PATIENCE):  # two missed heartbeats would be a minute
        await source.close()
    relay.flow()
    await source.connect()
    await source.close()


async def test_cancelling_a_connect_leaves_nothing_behind(harness: AmqpHarness, relay: Relay) -> None:
    relay.stall()
    connecting = asyncio.create_task(harness.source.connect())
    await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    relay.flow()
    await harness.source.connect()


async def test_messages_survive_a_restart_of_the_broker(harness: AmqpHarness) -> None:
    await harness.source.connect()
    await harness.publish(bodies(20))
    messages = await take(harness.source, 10)
    await harness.source.settle([(message, ACK) for message in messages[:5]])
    assert len(await waiting(harness.source, 15)) == 15
    await asyncio.to_thread(harness.broker.stop)
    async with asyncio.timeout(PATIENCE):
        while await stands(harness.source):
            pass
    await harness.source.close()
    with pytest.raises(NotConnectedError):
        await harness.source.connect()
    await asyncio.to_thread(harness.broker.start)
    left = await waiting(harness.source, 15)
    assert set(bodies_of(left)).isdisjoint(bodies_of(messages[:5]))
    await harness.source.settle([(message, ACK) for message in left])
    assert await waiting(harness.source, 0) == []


async def test_a_killed_broker_is_noticed_and_the_connection_rebuilt(harness: AmqpHarness) -> None:
    # a classic queue: a quorum queue declared seconds before a SIGKILL does not come back on a single node
    classic = {"name": harness.queue, "create_if_missing": {"type": "classic"}}
    source = quick("classic", settings(harness.broker.url, harness.queue, queue=classic))
    await source.connect()
    await harness.publish(bodies(10))
    await take(source, 10)
    await asyncio.to_thread(harness.broker.kill)
    async with asyncio.timeout(PATIENCE):
        while await stands(source):
            pass
    await asyncio.to_thread(harness.broker.start)
    again: list[Message] = await waiting(source, 10)
    await source.settle([(message, ACK) for message in again])
    assert await waiting(source, 0) == []
    await source.close()
