"""Reports reach each kind of sink, and a sink that is away, or a kill of the daemon, costs none of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from azure.servicebus.aio import ServiceBusClient

from connectors.base import OutMessage
from connectors.errors import NotConnectedError, PublishError, TopologyError
from connectors.servicebus.publisher import ServiceBusPublisher
from connectors.servicebus.settings import SinkEntity
from sandbox.servicebus import QueueSettings, ServiceBus
from sandbox.services import PushServices
from tests.brokers import queues
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMq
from tests.brokers.topics import create_topic
from tests.integration.daemon import HUB, Daemon, hubs
from tests.integration.hook import Hook

PATIENCE = 60.0
BODY = '{"message": {"notification": {"title": "$(title)"}}}'


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    async with Hook(tmp_path / "hook") as hook:
        yield hook


def configuration(services: PushServices, sinks: dict[str, Any]) -> dict[str, Any]:
    push = {"to": "user:{{ data.user }}", "with": {"title": "{{ data.id }}"}}
    return {
        "bridge": {"name": "acme"},
        "sources": {"orders": {"http": {"path": "/in/orders"}, "map": {"id": "{{ data.id }}"}}},
        "sinks": sinks,
        "rules": [{"name": "order", "push": push, "report_to": list(sinks)}],
        "hubs": {HUB: {**hubs(services)[HUB], "report_to": list(sinks)[:1]}},
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def post(daemon: Daemon, *events: dict[str, str]) -> None:
    async with httpx.AsyncClient() as client:
        for event in events:
            (await client.post(f"{daemon.url}/in/orders", json=event)).raise_for_status()


async def test_every_kind_of_sink_is_told_what_became_of_a_notification(
    tmp_path: Path, hook: Hook, rabbitmq: RabbitMq, kafka: Kafka
) -> None:
    queue = topic = f"outcomes-{uuid4().hex[:12]}"
    queues.declare(rabbitmq.url, queue, {"x-queue-type": "quorum"})
    await create_topic(kafka, topic)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(PushServices(tmp_path))
        broker = await stack.enter_async_context(servicebus(queue))
        sinks = {
            "hook": {"http": hook.settings},
            "rabbit": {"rabbitmq": {"url": rabbitmq.url, "key": queue}},
            "kafka": {"kafka": {"bootstrap": [kafka.bootstrap], "topic": topic}},
            "bus": {"servicebus": {"connection": {"connection_string": broker.connection_string}, "queue": queue}},
        }
        daemon = await stack.enter_async_context(Daemon(tmp_path, configuration(services, sinks)))
        await daemon.start()
        phone = services.add_phone("p1", "fcmv1")
        await daemon.register(
            {
                "installationId": "p1",
                "platform": "fcmv1",
                "pushChannel": phone.handle,
                "tags": ["user:ann"],
                "templates": {"t": {"body": BODY}},
            }
        )
        await post(daemon, {"id": "e-1", "user": "ann"}, {"id": "e-2", "user": "nobody"})
        await until(lambda: len(hook.told) == 2)
        told = {each["data"]["eventId"]: each for each in hook.told}
        delivered, failed = told["e-1"], told["e-2"]
        assert delivered["type"] == "pushbridge.notification.delivered"
        assert delivered["data"]["outcomes"] == {"fcmv1": {"Success": 1}}
        assert (failed["type"], failed["data"]["why"]) == ("pushbridge.notification.failed", "no_tag")
        got = [
            await from_rabbitmq(rabbitmq, queue, 2),
            await from_kafka(kafka, topic, 2),
            await from_servicebus(broker, queue, 2),
        ]
        for bodies in got:
            assert {orjson.loads(body)["data"]["eventId"] for body in bodies} == {"e-1", "e-2"}
        metrics = await daemon.metrics()
        for sink in sinks:
            assert metrics[f'pushbridge_sink_messages_published_total{{sink="{sink}"}}'] == 2
        services.fcm.unregister(phone.handle)
        await post(daemon, {"id": "e-3", "user": "ann"})
        await until(lambda: len(hook.told) == 4)
        removed = next(each for each in hook.told if each["type"] == "pushbridge.device.removed")
        assert (removed["data"]["installationIds"], removed["data"]["platform"]) == (["p1"], "fcmv1")


async def test_a_sink_that_is_away_delays_no_push_and_gets_all_after_a_kill(tmp_path: Path, hook: Hook) -> None:
    hook.status = 503
    async with (
        PushServices(tmp_path) as services,
        Daemon(tmp_path, configuration(services, {"hook": {"http": hook.settings}})) as daemon,
    ):
        await daemon.start()
        phone = services.add_phone("p1", "fcmv1")
        await daemon.register(
            {
                "installationId": "p1",
                "platform": "fcmv1",
                "pushChannel": phone.handle,
                "tags": ["user:ann"],
                "templates": {"t": {"body": BODY}},
            }
        )
        await post(daemon, *({"id": f"e-{number}", "user": "ann"} for number in range(50)))
        await until(lambda: len(phone.received) == 50)
        lines = await daemon.until_readiness(lambda _, lines: any("sink hook: failing" in line for line in lines))
        assert any("HTTP 503" in line for line in lines), lines
        assert hook.told == []
        await daemon.kill()
        hook.status = 204
        await daemon.start()
        await until(lambda: len({each["data"]["eventId"] for each in hook.told}) == 50)
        assert len(hook.told) == 50
        await until_published(daemon, 50)


async def until_published(daemon: Daemon, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await daemon.metrics())['pushbridge_sink_messages_published_total{sink="hook"}'] < count:
            await asyncio.sleep(0.05)
        with daemon.database() as database:
            while database.execute("SELECT count(*) FROM sink").fetchone() != (0,):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def servicebus(queue: str) -> AsyncIterator[ServiceBus]:
    async with ServiceBus() as broker:
        broker.create_queue(queue, QueueSettings())
        yield broker


def bus_publisher(broker: ServiceBus, queue: str, **changes: Any) -> ServiceBusPublisher:
    given = {"connection": {"connection_string": broker.connection_string}, "queue": queue} | changes
    return ServiceBusPublisher("sink-bus", SinkEntity.model_validate(given))


async def test_service_bus_has_what_publish_returned_for_and_a_message_that_is_too_large_fails_alone() -> None:
    async with servicebus("q") as broker:
        publisher = bus_publisher(broker, "q")
        await publisher.connect()
        messages = [OutMessage(id=f"m{n}", body=b"%d" % n * 5000, destination="q") for n in range(100)]
        await publisher.publish(messages)
        large = OutMessage(id="large", body=b"x" * 2_000_000, destination="q")
        small = OutMessage(id="small", body=b"x", destination="q")
        with pytest.raises(PublishError, match="larger than the broker takes") as caught:
            await publisher.publish([large, small])
        assert caught.value.published == {"small"}
        broker.cut()
        with pytest.raises((NotConnectedError, PublishError)):
            await publisher.publish([small])
        await publisher.close()
        await publisher.connect()
        await publisher.close()
        async with asyncio.timeout(PATIENCE):
            while broker.connections:  # nothing of a publisher is left that was closed
                await asyncio.sleep(0.02)
        got = await from_servicebus(broker, "q", 101)
        assert list(got)[:100] == [message.body for message in messages]


async def test_service_bus_names_a_queue_that_is_not_there() -> None:
    async with servicebus("q") as broker:
        missing = bus_publisher(broker, "other")
        with pytest.raises(TopologyError, match="queue 'other' does not exist; create it"):
            await missing.connect()


async def from_rabbitmq(rabbitmq: RabbitMq, queue: str, count: int) -> Sequence[bytes]:
    assert await asyncio.to_thread(queues.count, rabbitmq.url, queue, expected=count) == count
    return [body for body, _ in await asyncio.to_thread(queues.drain, rabbitmq.url, queue)]


async def from_kafka(kafka: Kafka, topic: str, count: int) -> Sequence[bytes]:
    async with (
        asyncio.timeout(PATIENCE),
        AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        return [(await consumer.getone()).value for _ in range(count)]


async def from_servicebus(broker: ServiceBus, queue: str, count: int) -> Sequence[bytes]:
    found: list[bytes] = []
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_receiver(queue) as receiver,
    ):
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                for message in await receiver.receive_messages(max_message_count=count, max_wait_time=1):
                    found.append(b"".join(message.body))
                    await receiver.complete_message(message)
    return found
