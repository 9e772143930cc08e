"""Kafka in the table of connectors."""

from collections.abc import Mapping

from connectors.connector import Capacity, Connector, DeadLetterRoute, SinkRoute
from connectors.kafka.publisher import KafkaPublisher
from connectors.kafka.settings import DeadLetterTopic, KafkaSettings, SinkTopic
from connectors.kafka.source import KafkaSource, probe

META: Mapping[str, str] = {
    "topic": "The topic that the message is of.",
    "partition": "The number of the partition that keeps the message.",
    "offset": "The number of the message in its partition.",
    "key": "The key that the producer chose: text, or bytes where it is no text; missing where there is none.",
    "timestamp": "When the message was written, by the producer's clock or the broker's, as ISO 8601 text.",
    "tombstone": "Whether the message has no value, which says that what its key names is deleted.",
}


def _source(name: str, settings: KafkaSettings, capacity: Capacity) -> KafkaSource:
    return KafkaSource(name, settings, offsets=capacity.offsets)


def _publisher(name: str, settings: KafkaSettings, place: DeadLetterTopic) -> KafkaPublisher:
    return KafkaPublisher(name, settings, place.topic)


def _sink(name: str, settings: SinkTopic) -> KafkaPublisher:
    return KafkaPublisher(name, settings, settings.topic)


KAFKA = Connector(
    key="kafka",
    title="Kafka",
    doc="Topics of Apache Kafka, or event hubs of Azure Event Hubs, read as a consumer group.",
    settings=KafkaSettings,
    make_source=_source,
    meta=META,
    has_position=True,
    keeps_dead_letters=False,
    dead_letters=DeadLetterRoute(
        doc="A topic of the source's own brokers.",
        place=DeadLetterTopic,
        make_publisher=_publisher,
        destination=lambda place: place.topic,
    ),
    sink=SinkRoute(
        doc="A topic of Apache Kafka, or an event hub of Azure Event Hubs.",
        settings=SinkTopic,
        make_publisher=_sink,
        destination=lambda settings: settings.topic,
        behind=SinkTopic.behind,
        unproxied=lambda settings: settings.host,
    ),
    probe=probe,
    behind=KafkaSettings.behind,
    unproxied=lambda settings: settings.host,  # aiokafka knows no proxy
    main_setting="bootstrap",
    sample='{ bootstrap: ["${env:KAFKA:-127.0.0.1:9092}"], topics: [NAME], group: pushbridge }',
)
