"""A RabbitMQ as its operator sees it, through a client of its own: what is under test is not asked about itself."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pika


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A blocking channel on a connection of its own."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare(url: str, queue: str, arguments: Mapping[str, Any]) -> None:
    """Create a durable queue."""
    with channel(url) as broker:
        broker.queue_declare(queue, durable=True, arguments=dict(arguments))


def publish(url: str, queue: str, bodies: Iterable[bytes], **properties: Any) -> None:
    """Put persistent messages straight into a queue; returns when the broker has confirmed all."""
    with channel(url) as broker:
        broker.confirm_delivery()
        for body in bodies:
            broker.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)


def count(url: str, queue: str) -> int:
    """Messages that wait in the queue, those handed out to consumers left out."""
    with channel(url) as broker:
        return int(broker.queue_declare(queue, passive=True).method.message_count)


def drain(url: str, queue: str) -> list[tuple[bytes, Mapping[str, Any]]]:
    """Take all that waits in the queue: bodies with their headers, in order."""
    taken = []
    with channel(url) as broker:
        while (message := broker.basic_get(queue, auto_ack=True))[0] is not None:
            _, properties, body = message
            taken.append((body, properties.headers or {}))
    return taken


def delete(url: str, queue: str) -> None:
    with channel(url) as broker:
        broker.queue_delete(queue)
