"""Azure Service Bus, through AMQP 1.0 and the Azure SDK; read `source.py` first; `entry.py` is how the program finds it.

Importing this package does not import the SDK: that happens with the first `connect`.
"""

from connectors.servicebus.settings import (
    Connection,
    Correlation,
    Credential,
    Filter,
    LockRenewal,
    NewQueue,
    NewSubscription,
    NewTopic,
    Queue,
    Reception,
    Sas,
    ServiceBusSettings,
    Sessions,
    Subscription,
    Topic,
)
from connectors.servicebus.source import ServiceBusSource

__all__ = [
    "Connection",
    "Correlation",
    "Credential",
    "Filter",
    "LockRenewal",
    "NewQueue",
    "NewSubscription",
    "NewTopic",
    "Queue",
    "Reception",
    "Sas",
    "ServiceBusSettings",
    "ServiceBusSource",
    "Sessions",
    "Subscription",
    "Topic",
]
