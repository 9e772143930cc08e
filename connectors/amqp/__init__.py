"""RabbitMQ, through AMQP 0-9-1 and pika; read `source.py` first.

Importing this package does not import pika: that happens with the first `connect`.
"""

from connectors.amqp.publisher import AmqpPublisher
from connectors.amqp.settings import (
    AmqpPublisherSettings,
    AmqpSettings,
    Binding,
    Consumption,
    NewExchange,
    NewQueue,
    Queue,
)
from connectors.amqp.source import AmqpSource

__all__ = [
    "AmqpPublisher",
    "AmqpPublisherSettings",
    "AmqpSettings",
    "AmqpSource",
    "Binding",
    "Consumption",
    "NewExchange",
    "NewQueue",
    "Queue",
]
