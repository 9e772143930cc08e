"""A broker that the unmodified Azure Service Bus SDKs talk to; read `service_bus.py` first.

    async with ServiceBus() as broker:
        broker.create_topic("orders")
        broker.create_subscription("orders", "bridge", QueueSettings(lock_duration=5_000))
        client = ServiceBusClient.from_connection_string(broker.connection_string)
        ...
        broker.cut()                                                   # every socket; also detach, close_connections
        broker.expire_locks("orders/Subscriptions/bridge")
        broker.faults.swallow_settlements(times=1)                     # see faults.py for what else can go wrong
        assert broker.queue("orders/Subscriptions/bridge").counts.completed == 1

What it keeps to, and what it leaves out (forwarding, duplicate detection, transactions, partitions), is what the
public AMQP guide of Service Bus says; differences to Azure that are known are told where they are.
"""

from sandbox.servicebus.errors import EntityError, EntityExistsError, EntityNotFoundError, InvalidEntityError
from sandbox.servicebus.service_bus import ServiceBus
from sandbox.servicebus.settings import QueueSettings, TopicSettings

__all__ = [
    "EntityError",
    "EntityExistsError",
    "EntityNotFoundError",
    "InvalidEntityError",
    "QueueSettings",
    "ServiceBus",
    "TopicSettings",
]
