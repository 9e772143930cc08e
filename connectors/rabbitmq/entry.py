"""RabbitMQ in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector, DeadLetterRoute, SinkRoute
from connectors.rabbitmq.publisher import RabbitMqPublisher
from connectors.rabbitmq.settings import DeadLetterExchange, RabbitMqPublisherSettings, RabbitMqSettings, SinkExchange
from connectors.rabbitmq.source import RabbitMqSource, probe

META: Mapping[str, str] = {
    "exchange": "The exchange that the message was published to; empty for the default exchange.",
    "routing_key": "The key that the message was published with.",
    "message_id": "The id that the publisher set, which identifies the event unless `map.id` does.",
    "type": "The kind of the message, in the publisher's words.",
    "content_type": "The MIME type of the body.",
    "content_encoding": "How the body is compressed, such as gzip.",
    "correlation_id": "The id of the message that this one belongs to.",
    "reply_to": "The queue that answers are expected in.",
    "timestamp": "When the message was published by the publisher's clock, in seconds since 1970 UTC.",
    "expiration": "How long the message was good for, in milliseconds, as text.",
    "priority": "The priority in the queue, 0 to 255.",
    "delivery_mode": "2 for a message that survives a restart of the broker, 1 for one that does not.",
    "user_id": "The user who published the message, which the broker has checked.",
    "app_id": "The application that published the message.",
    "cluster_id": "A property of earlier versions of AMQP, without a meaning of its own.",
}


def _source(name: str, settings: RabbitMqSettings, capacity: Capacity) -> RabbitMqSource:
    return RabbitMqSource(name, settings)


def _publisher(name: str, settings: RabbitMqSettings, place: DeadLetterExchange) -> RabbitMqPublisher:
    return RabbitMqPublisher(
        name, RabbitMqPublisherSettings(url=settings.url, tls=settings.tls, exchange=place.exchange)
    )


def _sink(name: str, settings: SinkExchange) -> RabbitMqPublisher:
    return RabbitMqPublisher(
        name, RabbitMqPublisherSettings(url=settings.url, tls=settings.tls, exchange=settings.exchange)
    )


RABBITMQ = Connector(
    key="rabbitmq",
    old_keys=("amqp",),
    title="RabbitMQ",
    doc="A queue of RabbitMQ, consumed over AMQP 0-9-1.",
    settings=RabbitMqSettings,
    make_source=_source,
    meta=META,
    dead_letters=DeadLetterRoute(
        doc="An exchange of the source's own broker, and the routing key.",
        place=DeadLetterExchange,
        make_publisher=_publisher,
        destination=lambda place: place.key,
    ),
    sink=SinkRoute(
        doc="An exchange of RabbitMQ, and the routing key.",
        settings=SinkExchange,
        make_publisher=_sink,
        destination=lambda settings: settings.key,
        behind=SinkExchange.behind,
        unproxied=lambda settings: settings.host,
    ),
    probe=probe,
    behind=RabbitMqSettings.behind,
    unproxied=lambda settings: settings.host,  # pika knows no proxy
    handed_out=lambda settings: settings.receive.credit,
    main_setting="url",
    sample=(
        '{ url: "${env:RABBITMQ_URL:-amqp://guest:guest@127.0.0.1:5672/}",'
        " queue: { name: push.NAME, create_if_missing: {} } }"
    ),
    old_paths={"receive.concurrency": "receive.max_in_flight"},
)
