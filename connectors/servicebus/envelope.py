"""A delivery as the SDK gets to see it: what the broker wrote is decoded, and what the sender wrote is left as bytes.

The SDK decodes a delivery while it reads from the connection, and one value that it cannot decode ends the connection.
So its decoder of payloads is replaced, in the two modules that use it: for deliveries, and for messages looked at.
`message.py` reads the rest. Messages that come from no entity, such as answers to management requests, are the SDK's.
"""

from typing import Any

from azure.servicebus._pyamqp import _decode
from azure.servicebus._pyamqp.aio import _receiver_async
from azure.servicebus._pyamqp.message import Header, Message
from azure.servicebus._transport import _pyamqp_transport

from connectors.servicebus.amqp_values import UnreadableError, Values, skip

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
SECTION = b"\x00\x53"
"""Begins every section: a described value, and a descriptor of one byte (part 3, section 3.2)."""

_SEQUENCE_NUMBER = b"x-opt-sequence-number"
_decode_by_sdk = _decode.decode_payload


class Envelope(Message):
    """Header and message annotations of a message, decoded; `payload` is all of it, its other sections begin at `rest`."""

    payload: bytes
    rest: int


def decode_delivery(buffer: memoryview) -> Message:
    """Stands in for the SDK's `decode_payload`. Raises: what that raises, for what comes from no entity."""
    payload = bytes(buffer)
    envelope = _envelope(payload)
    if envelope.message_annotations and _SEQUENCE_NUMBER in envelope.message_annotations:
        return envelope
    return _decode_by_sdk(buffer)


def _envelope(payload: bytes) -> Envelope:
    """Never raises: an annotation that cannot be read ends what is known of the annotations."""
    values = Values(payload, times=False)
    header: list[Any] = []
    annotations: dict[bytes, Any] = {}
    at = 0
    try:
        while payload.startswith(SECTION, at) and HEADER <= payload[at + 2] <= MESSAGE_ANNOTATIONS:
            end = skip(payload, at)
            if payload[at + 2] != DELIVERY_ANNOTATIONS:
                value, _ = values.read(at + 3)
                if isinstance(value, list):
                    header = value
                elif isinstance(value, dict):
                    annotations = {name.encode(): each for name, each in value.items()}
            at = end
    except (UnreadableError, IndexError):
        pass
    envelope = Envelope(header=Header(*header[:5]) if header else None, message_annotations=annotations)  # type: ignore[arg-type]
    envelope.payload, envelope.rest = payload, at
    return envelope


_receiver_async.decode_payload = decode_delivery
_pyamqp_transport.decode_payload = decode_delivery
