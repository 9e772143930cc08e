"""A source needs no more than the right to read: what it may not ask is unknown, and no failure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from connectors.base import ACK
from connectors.errors import AuthenticationError, SourceError, TopologyError
from connectors.rabbitmq.entry import RABBITMQ
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.rabbitmq.source import RabbitMqSource
from connectors.servicebus import ServiceBusSettings, ServiceBusSource
from connectors.servicebus.entry import SERVICE_BUS
from sandbox.servicebus import ServiceBus
from sandbox.servicebus.policies import Policy
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.connectors.behaviour import PATIENCE, take
from tests.connectors.servicebus.harness import SUBSCRIPTION, TOPIC
from tests.connectors.servicebus.quick import QUICK

LISTENS = Policy(name="listens", key="canary-listen", rights=frozenset(["Listen"]), path=TOPIC)
SENDS = Policy(name="sends", key="canary-send", rights=frozenset(["Send"]), path=TOPIC)
MANAGES = Policy(name="manages", key="canary-manage", rights=frozenset(["Manage"]))
ELSEWHERE = Policy(name="elsewhere", key="canary-else", rights=frozenset(["Listen"]), path="another")


@asynccontextmanager
async def namespace(*, subscription: bool = True) -> AsyncIterator[ServiceBus]:
    async with ServiceBus(policies=[LISTENS, SENDS, MANAGES, ELSEWHERE]) as broker:
        broker.create_topic(TOPIC)
        if subscription:
            broker.create_subscription(TOPIC, SUBSCRIPTION)
        yield broker


def service_bus(broker: ServiceBus, policy: Policy, **changes: Any) -> ServiceBusSource:
    """A source of the subscription that has the key of a policy."""
    at = {
        "connection_string": broker.connection_string_of(policy),
        "administration": f"http://127.0.0.1:{broker.port}",
    }
    whole = {"connection": at, "topic": TOPIC, "subscription": {"name": SUBSCRIPTION}} | changes
    return ServiceBusSource("hr", ServiceBusSettings.model_validate(whole), timing=QUICK)


async def send(broker: ServiceBus, policy: Policy) -> None:
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string_of(policy), retry_total=0) as client,
        client.get_topic_sender(TOPIC) as sender,
    ):
        await sender.send_messages(ServiceBusMessage(b"{}"))


async def test_a_subscription_of_service_bus_is_received_with_listen_alone() -> None:
    """Settled, its lock renewed, and what waits is what the source sees for itself: to count takes Manage."""
    async with namespace() as broker:
        for _ in range(3):
            await send(broker, SENDS)
        source = service_bus(broker, LISTENS)
        await source.connect()
        try:
            assert (await source.backlog()).messages == 3
            messages = await take(source, 2)
            assert (await source.backlog()).messages == 3  # those that are locked are not done
            await source.settle([(message, ACK) for message in messages])
            async with asyncio.timeout(PATIENCE):
                while broker.queue(f"{TOPIC}/Subscriptions/{SUBSCRIPTION}").counts.completed < 2:
                    await asyncio.sleep(0.02)
            assert (await source.backlog()).messages == 1
        finally:
            await source.close()
        assert SERVICE_BUS.probe is not None
        await SERVICE_BUS.probe("hr", source._settings)


@pytest.mark.parametrize("policy, claim", [(SENDS, "Listen"), (ELSEWHERE, "the credentials are refused")])
async def test_a_key_of_service_bus_without_the_right_is_named(policy: Policy, claim: str) -> None:
    async with namespace() as broker:
        source = service_bus(broker, policy)
        with pytest.raises(AuthenticationError, match=claim):
            await source.connect()
        await source.close()


async def test_to_create_a_subscription_takes_manage_and_its_lack_is_named() -> None:
    new = {"subscription": {"name": SUBSCRIPTION, "create_if_missing": {}}}
    async with namespace(subscription=False) as broker:
        refused = service_bus(broker, LISTENS, **new)
        with pytest.raises(SourceError, match=SUBSCRIPTION):
            await refused.connect()
        await refused.close()
        source = service_bus(broker, MANAGES, **new)
        await source.connect()
        await send(broker, MANAGES)
        assert len(await take(source, 1)) == 1
        await source.close()


async def test_a_queue_of_rabbitmq_is_consumed_with_the_right_to_read_it_alone(rabbitmq: RabbitMq) -> None:
    name = f"least-{uuid4().hex[:8]}"
    queues.declare(rabbitmq.url, name, {"x-queue-type": "quorum"})
    queues.publish(rabbitmq.url, name, [b"{}"])
    rabbitmq.control("add_user", name, "p")
    rabbitmq.control("set_permissions", name, "^$", "^$", f"^{name}$")
    _, _, place = rabbitmq.url.rpartition("@")
    url = f"amqp://{name}:p@{place}"
    settings = RabbitMqSettings.model_validate({"url": url, "queue": {"name": name}})
    source = RabbitMqSource("orders", settings)
    await source.connect()
    try:
        messages = await take(source, 1)
        assert (await source.backlog()).messages == 1
        await source.settle([(message, ACK) for message in messages])
        async with asyncio.timeout(PATIENCE):
            while (await source.backlog()).messages != 0:  # a broker counts a moment later
                await asyncio.sleep(0.1)
    finally:
        await source.close()
    assert RABBITMQ.probe is not None
    await RABBITMQ.probe("orders", settings)
    creating = RabbitMqSettings.model_validate({"url": url, "queue": {"name": f"{name}.new", "create_if_missing": {}}})
    refused = RabbitMqSource("orders", creating)
    with pytest.raises(TopologyError, match=name):
        await refused.connect()
    await refused.close()
