"""One broker a folder: how to receive a batch, settle it, publish with confirmation. Read `base.py` first.

`connector.py` is what the rest of the program knows of a connector, and `table.py` lists them all.
"""

from connectors.base import ACK, NACK, Backlog, Disposition, Message, OutMessage, Publisher, Settlement, Source
from connectors.errors import (
    AuthenticationError,
    NotConnectedError,
    PublishError,
    SourceClosedError,
    SourceError,
    TopologyError,
)

__all__ = [
    "ACK",
    "NACK",
    "AuthenticationError",
    "Backlog",
    "Disposition",
    "Message",
    "NotConnectedError",
    "OutMessage",
    "PublishError",
    "Publisher",
    "Settlement",
    "Source",
    "SourceClosedError",
    "SourceError",
    "TopologyError",
]
