"""RabbitMQ, through AMQP 0-9-1 and pika; read `source.py` first.

Importing this package does not import pika: that happens with the first `connect`.
"""

from connectors.rabbitmq.publisher import RabbitMqPublisher
from connectors.rabbitmq.settings import (
    Binding,
    Consumption,
    NewExchange,
    NewQueue,
    Queue,
    RabbitMqPublisherSettings,
    RabbitMqSettings,
)
from connectors.rabbitmq.source import RabbitMqSource

__all__ = [
    "Binding",
    "Consumption",
    "NewExchange",
    "NewQueue",
    "Queue",
    "RabbitMqPublisher",
    "RabbitMqPublisherSettings",
    "RabbitMqSettings",
    "RabbitMqSource",
]
