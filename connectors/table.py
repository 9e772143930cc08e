"""Every connector, a line each: configuration, wiring, `check` and the reference find them here."""

from collections.abc import Mapping
from typing import Any

from connectors.connector import Connector
from connectors.files.entry import FILES
from connectors.http.entry import HTTP
from connectors.kafka.entry import KAFKA
from connectors.rabbitmq.entry import RABBITMQ
from connectors.servicebus.entry import SERVICE_BUS
from connectors.sql.entry import SQL

CONNECTORS: Mapping[str, Connector[Any]] = {
    connector.key: connector
    for connector in (
        RABBITMQ,
        HTTP,
        SERVICE_BUS,
        KAFKA,
        SQL,
        FILES,
    )
}
"""By their keys."""

LATER: tuple[str, ...] = ()
"""Keys of connectors that a later version will have."""
