"""Service Bus in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector, SinkRoute
from connectors.servicebus.publisher import ServiceBusPublisher
from connectors.servicebus.settings import ServiceBusSettings, SinkEntity
from connectors.servicebus.source import ServiceBusSource, probe
from hub.egress import EgressDefaults

META: Mapping[str, str] = {
    "message_id": "The id that the sender set, which identifies the event unless `map.id` does.",
    "subject": "What the message is about, in the sender's words; Azure calls it label too.",
    "to": "The address that the sender wrote; Service Bus does not act on it.",
    "reply_to": "The queue or topic that answers are expected in.",
    "reply_to_group_id": "The session that answers are expected in.",
    "correlation_id": "The id of the message that this one belongs to.",
    "session_id": "The session of the message.",
    "partition_key": "What the broker chose the partition by.",
    "content_type": "The MIME type of the body.",
    "content_encoding": "How the body is compressed, such as gzip.",
    "sequence_number": "The number that the broker gave the message in this queue or subscription.",
    "enqueued_sequence_number": "The number that the broker gave the message where it was sent to first.",
    "enqueued_time": "When the broker took the message, as ISO 8601 text.",
    "time_to_live": "How long the message is good for, in seconds.",
    "dead_letter_reason": "Why the message was dead-lettered; in a dead-letter queue only.",
    "dead_letter_error_description": "The same in more words; in a dead-letter queue only.",
    "dead_letter_source": "The queue or subscription that the message was dead-lettered from.",
}


def _source(name: str, settings: ServiceBusSettings, capacity: Capacity) -> ServiceBusSource:
    return ServiceBusSource(name, settings)


def _behind(settings: ServiceBusSettings, default: EgressDefaults) -> ServiceBusSettings:
    return settings.model_copy(update={"connection": settings.connection.behind(default)})


SERVICE_BUS = Connector(
    key="servicebus",
    title="Service Bus",
    doc="A queue or subscription of Azure Service Bus, or its dead-letter queue, received in peek-lock mode.",
    sample=(
        '{ connection: { connection_string: "${env:SERVICEBUS:-Endpoint=sb://acme.servicebus.windows.net/;'
        'SharedAccessKeyName=bridge;SharedAccessKey=change-me}" }, topic: NAME, subscription: { name: pushbridge } }'
    ),
    settings=ServiceBusSettings,
    make_source=_source,
    meta=META,
    has_position=True,
    old_paths={
        "receive.concurrency": "receive.max_in_flight",
        "receive.sessions.concurrent": "receive.sessions.max_in_flight",
        "connection.ca_file": "connection.tls.ca_file",
    },
    sink=SinkRoute(
        doc="A queue or topic of Azure Service Bus.",
        settings=SinkEntity,
        make_publisher=ServiceBusPublisher,
        destination=lambda settings: settings.queue or settings.topic or "",
        behind=SinkEntity.behind,
        unproxied=lambda settings: settings.connection.host if settings.connection.is_emulated else "",
    ),
    probe=probe,
    behind=_behind,
    unproxied=lambda settings: settings.connection.host if settings.connection.is_emulated else "",
    later={("receive", "lock_renewal"): ("on_lost",)},
)
