"""HTTP requests as messages: webhooks, CloudEvents, Event Grid; read `source.py` first, `entry.py` is how it is found."""

from connectors.http.settings import Handshake, HttpSettings, Reception
from connectors.http.source import HttpSource

__all__ = ["Handshake", "HttpSettings", "HttpSource", "Reception"]
