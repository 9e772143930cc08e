"""What the SDK received, as a `Message`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from connectors.base import Message

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

_PROPERTIES = (
    "message_id", "to", "subject", "reply_to", "correlation_id", "content_type", "content_encoding", "reply_to_group_id",
)  # fmt: skip
_ANNOTATIONS = {
    b"x-opt-sequence-number": "sequence_number",
    b"x-opt-enqueue-sequence-number": "enqueued_sequence_number",
    b"x-opt-partition-key": "partition_key",
    b"x-opt-deadletter-source": "dead_letter_source",
}
_DEAD_LETTER = {
    "DeadLetterReason": "dead_letter_reason",
    "DeadLetterErrorDescription": "dead_letter_error_description",
}
_ENQUEUED_TIME = b"x-opt-enqueued-time"


def message_from(
    received: "ServiceBusReceivedMessage", *, source: str, receipt: object, is_lost: Callable[[], bool]
) -> Message:
    """The message in our words.

    Service Bus counts failed deliveries, we count deliveries. `headers` are the application properties, among them the
    reason and description of a dead letter. AMQP leaves text, symbols and binary alike as bytes here, so what is not
    UTF-8 in them is replaced.
    """
    raw = received.raw_amqp_message
    properties: dict[str, Any] = {}
    if raw.properties is not None:
        for name in _PROPERTIES:
            value = getattr(raw.properties, name)
            if value is not None:
                properties[name] = plain(value)
        if raw.properties.group_id is not None:
            properties["session_id"] = plain(raw.properties.group_id)
    annotations: Mapping[Any, Any] = raw.annotations or {}
    for key, name in _ANNOTATIONS.items():
        if key in annotations:
            properties[name] = plain(annotations[key])
    enqueued_at = _time(annotations.get(_ENQUEUED_TIME))
    if enqueued_at is not None:
        properties["enqueued_time"] = enqueued_at.isoformat()
    if raw.header is not None and raw.header.time_to_live is not None:
        properties["time_to_live"] = raw.header.time_to_live / 1000
    failed_deliveries = 0 if raw.header is None else raw.header.delivery_count or 0
    headers = plain(raw.application_properties) if raw.application_properties else {}
    for header, name in _DEAD_LETTER.items():
        if header in headers:
            properties[name] = headers[header]
    number = properties.get("sequence_number")
    return Message(
        source=source,
        body=body_of(received),
        id=_text(properties.get("message_id")),
        position=None if number is None else str(number),
        content_type=_text(properties.get("content_type")),
        headers=headers,
        properties=properties,
        key=_text(properties.get("session_id") or properties.get("partition_key")),
        enqueued_at=enqueued_at,
        delivery_count=failed_deliveries + 1,
        receipt=receipt,
        is_lost=is_lost,
    )


def body_of(received: "ServiceBusReceivedMessage") -> bytes:
    """The body in one piece, whichever of the three kinds of AMQP 1.0 (part 3, section 3.2) it is.

    Data sections are joined. A value that is text or binary stands for itself, as JMS sends it; any other value, and a
    sequence, becomes JSON.
    """
    body = received.raw_amqp_message.body
    kind = received.raw_amqp_message.body_type.value
    if kind == "data":
        return b"".join(body)
    if kind == "sequence":
        return _json(list(body))
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else _json(body)


def plain(value: Any) -> Any:
    """A property as plain data: bytes as text, containers all the way down."""
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)  # a UUID or a decimal


def _json(value: Any) -> bytes:
    return orjson.dumps(plain(value), option=orjson.OPT_NON_STR_KEYS)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _time(milliseconds: Any) -> datetime | None:
    """An AMQP timestamp, milliseconds since 1970; None for what is no date."""
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
