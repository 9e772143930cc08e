"""A source needs no more than the right to read: what it may not ask is unknown, and no failure."""

from uuid import uuid4

import pytest

from connectors.base import ACK
from connectors.errors import TopologyError
from connectors.rabbitmq.entry import RABBITMQ
from connectors.rabbitmq.settings import RabbitMqSettings
from connectors.rabbitmq.source import RabbitMqSource
from tests.brokers import queues
from tests.brokers.rabbitmq import RabbitMq
from tests.connectors.behaviour import take


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
    finally:
        await source.close()
    assert RABBITMQ.probe is not None
    await RABBITMQ.probe("orders", settings)
    creating = RabbitMqSettings.model_validate({"url": url, "queue": {"name": f"{name}.new", "create_if_missing": {}}})
    refused = RabbitMqSource("orders", creating)
    with pytest.raises(TopologyError, match=name):
        await refused.connect()
    await refused.close()
