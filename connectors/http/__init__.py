"""HTTP requests as messages: webhooks, CloudEvents, Event Grid; read `source.py` first, `entry.py` is how it is found."""

from connectors.http.settings import Auth, BasicAuth, Handshake, HttpSettings, Limits
from connectors.http.source import HttpSource

__all__ = ["Auth", "BasicAuth", "Handshake", "HttpSettings", "HttpSource", "Limits"]
