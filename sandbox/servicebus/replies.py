"""Answers of `$cbs` and `$management`: messages that name the request they answer."""

from collections.abc import Mapping
from typing import Any

from sandbox.servicebus.amqp.encoding import encode, encode_described
from sandbox.servicebus.content import APPLICATION_PROPERTIES, PROPERTIES, VALUE, Content


def reply(request: Content, properties: Mapping[str, Any], body: Any = None) -> bytes:
    """An answer with these application properties; the correlation id is the request's id, type included."""
    correlation = [None, None, None, None, None, request.properties.get("message-id")]
    return b"".join(
        (
            encode_described(PROPERTIES, encode(correlation)),
            encode_described(APPLICATION_PROPERTIES, encode(dict(properties))),
            encode_described(VALUE, encode(body)),
        )
    )
