"""One broker a file: how to receive a batch, settle it, publish with confirmation. Read `base.py` first."""

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
