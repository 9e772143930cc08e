"""A delivery as the SDK gets to see it: what the broker wrote is decoded, and what the sender wrote is left as bytes.

The SDK decodes a delivery while it reads from the connection, and one value that it cannot decode ends the connection.
So its decoder of payloads is replaced, in the two modules that use it: for deliveries, and for messages looked at.
`message.py` reads the rest. Messages that come from no entity, such as answers to management requests, are the SDK's,
and so is all that others in this process do with it: ours is what happens within a function under `content_is_ours`.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from azure.servicebus._pyamqp import _decode
from azure.servicebus._pyamqp.aio import _receiver_async
from azure.servicebus._pyamqp.message import Header, Message
from azure.servicebus._transport import _pyamqp_transport

from connectors.servicebus.amqp_values import UnreadableError, Values, skip

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
SECTION = b"\x00\x53"
"""Begins every section: a described value, and a descriptor of one byte (part 3, section 3.2)."""

P = ParamSpec("P")
T = TypeVar("T")

_content_is_ours: ContextVar[bool] = ContextVar("_content_is_ours", default=False)
_SEQUENCE_NUMBER = b"x-opt-sequence-number"
_decode_by_sdk = _decode.decode_payload


class Envelope(Message):
    """Header and message annotations of a message, decoded; `payload` is all of it, its other sections begin at `rest`."""

    payload: bytes
    rest: int


def content_is_ours(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """What the function receives through the SDK, and what tasks that begin in it receive, is decoded by us."""

    @wraps(function)
    async def run(*arguments: P.args, **named: P.kwargs) -> T:
        token = _content_is_ours.set(True)
        try:
            return await function(*arguments, **named)
        finally:
            _content_is_ours.reset(token)

    return run


def decode_delivery(buffer: memoryview) -> Message:
    """Stands in for the SDK's `decode_payload`. Raises: what that raises, for what comes from no entity."""
    if not _content_is_ours.get():
        return _decode_by_sdk(buffer)
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


for _module in (_receiver_async, _pyamqp_transport):
    assert hasattr(_module, "decode_payload"), "this version of azure-servicebus decodes payloads in another place"
    setattr(_module, "decode_payload", decode_delivery)  # noqa: B010 - the modules do not export what they import
