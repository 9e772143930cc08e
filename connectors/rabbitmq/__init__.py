"""RabbitMQ, through AMQP 0-9-1 and pika; read `source.py` first.

Importing this package does not import pika: that happens with the first `connect`.
"""

from connectors.rabbitmq.publisher import AmqpPublisher
from connectors.rabbitmq.settings import (
    AmqpPublisherSettings,
    AmqpSettings,
    Binding,
    Consumption,
    NewExchange,
    NewQueue,
    Queue,
)
from connectors.rabbitmq.source import AmqpSource

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
