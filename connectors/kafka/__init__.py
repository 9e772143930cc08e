"""Apache Kafka, and Event Hubs by its Kafka endpoint, through aiokafka; read `source.py`, then `consumer.py`.

Importing this package does not import aiokafka: that happens with the first `connect`.
"""

from connectors.kafka.publisher import KafkaPublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.source import KafkaSource

__all__ = ["KafkaPublisher", "KafkaSettings", "KafkaSource"]
