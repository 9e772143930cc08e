"""What the SDK received, as a `Message`."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson

from connectors.base import Message
from connectors.servicebus.amqp_values import UnreadableError, Values, is_opaque, skip
from connectors.values import shown

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage

    from connectors.servicebus.envelope import Envelope

_PROPERTIES = (
    "message_id", "", "to", "subject", "reply_to", "correlation_id", "content_type", "content_encoding", "", "",
    "session_id", "", "reply_to_group_id",
)  # fmt: skip
"""The fields of the properties (part 3, section 3.2.4) in their order; those without a name are left out."""

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
_PROPERTIES_SECTION, _APPLICATION_PROPERTIES, _DATA, _SEQUENCE, _VALUE, _FOOTER = range(0x73, 0x79)
_MAX_PROBLEMS = 5


@dataclass(slots=True)
class BareMessage:
    """What a sender wrote. `problems` say what could not be read of it.

    Data sections are joined into `body`. A value that is text or binary stands for itself, as JMS sends it; any other
    value, and a sequence, becomes JSON. A body that could not be read is the sections that it came in.
    """

    properties: dict[str, Any] = field(default_factory=dict)
    application_properties: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""
    problems: list[str] = field(default_factory=list)


def message_from(
    received: "ServiceBusReceivedMessage", *, source: str, receipt: object, is_lost: Callable[[], bool]
) -> Message:
    """The message in our words.

    Service Bus counts failed deliveries, we count deliveries. `headers` are the application properties, among them the
    reason and description of a dead letter.
    """
    envelope = cast("Envelope", received._message)  # the SDK keeps what `envelope.py` made, without offering it
    bare = read_bare_message(envelope.payload, envelope.rest)
    properties, headers = bare.properties, bare.application_properties
    annotations = envelope.message_annotations or {}
    for key, name in _ANNOTATIONS.items():
        if key in annotations:
            properties[name] = annotations[key]
    enqueued_at = _time(annotations.get(_ENQUEUED_TIME))
    if enqueued_at is not None:
        properties["enqueued_time"] = enqueued_at.isoformat()
    header = envelope.header
    if header is not None and isinstance(header.ttl, int):
        properties["time_to_live"] = header.ttl / 1000
    failed_deliveries = header.delivery_count if header is not None else 0
    for header_name, name in _DEAD_LETTER.items():
        if header_name in headers:
            properties[name] = headers[header_name]
    number = properties.get("sequence_number")
    return Message(
        source=source,
        body=bare.body,
        id=_text(properties.get("message_id")),
        position=None if number is None else str(number),
        content_type=_text(properties.get("content_type")),
        headers=headers,
        properties=properties,
        key=_text(properties.get("session_id") or properties.get("partition_key")),
        enqueued_at=enqueued_at,
        delivery_count=(failed_deliveries if isinstance(failed_deliveries, int) else 0) + 1,
        unreadable="; ".join(bare.problems[:_MAX_PROBLEMS]),
        receipt=receipt,
        is_lost=is_lost,
    )


def read_bare_message(payload: bytes, at: int) -> BareMessage:
    """Read the sections that begin at `at`; never raises for any bytes."""
    bare = BareMessage()
    body = _Body(payload)
    while at < len(payload):
        code = payload[at + 2] if payload.startswith(b"\x00\x53", at) and at + 2 < len(payload) else 0
        try:
            if not _PROPERTIES_SECTION <= code <= _FOOTER:
                raise UnreadableError("bytes that begin no section")
            end = skip(payload, at)
            if code == _PROPERTIES_SECTION:
                bare.properties = _properties(_read(payload, at, list, bare.problems))
            elif code == _APPLICATION_PROPERTIES:
                bare.application_properties = _read(payload, at, dict, bare.problems)
            elif code != _FOOTER:
                body.add(code, at)
        except UnreadableError as error:
            bare.problems.append(f"{_SECTIONS.get(code, 'message')}: {error}")
            if code not in (_PROPERTIES_SECTION, _APPLICATION_PROPERTIES):
                body.problems.append("")
                break
            try:
                end = skip(payload, at)
            except UnreadableError:
                break
        at = end
    bare.body = body.as_bytes()
    bare.problems += [f"body: {problem}" for problem in body.problems if problem]
    return bare


class _Body:
    """The body sections of a payload."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._start = len(payload)
        self._data: list[bytes] = []
        self._values: list[Any] = []
        self._code = 0
        self.problems: list[str] = []

    def add(self, code: int, at: int) -> None:
        """Raises: UnreadableError."""
        self._start = min(self._start, at)
        self._code = code
        values = Values(self._payload, times=False)
        if code == _DATA or (code == _VALUE and is_opaque(self._payload[at + 3])):
            self._data.append(_content(self._payload, at))
            self._code = _DATA
        else:
            value, _ = values.read(at + 3)
            self._values.append(value)
        self.problems += values.problems

    def as_bytes(self) -> bytes:
        if self.problems:
            return self._payload[self._start :]
        if self._code in (0, _DATA):
            return b"".join(self._data)
        if self._code == _VALUE:
            value = self._values[-1]
            return b"" if value is None else _json(value)
        return _json(self._values)


def _content(payload: bytes, at: int) -> bytes:
    """What is in a section of binary or text. Raises: UnreadableError."""
    code = payload[at + 3]
    if not is_opaque(code):
        raise UnreadableError(f"data of the constructor 0x{code:02x}, which is not binary")
    return payload[at + (5 if code < 0xB0 else 8) : skip(payload, at)]


def _read(payload: bytes, at: int, kind: type, problems: list[str]) -> Any:
    """The content of a section. Raises: UnreadableError."""
    values = Values(payload)
    value, _ = values.read(at + 3)
    problems += [f"{_SECTIONS[payload[at + 2]]}: {problem}" for problem in values.problems]
    if not isinstance(value, kind):
        raise UnreadableError(f"not a {kind.__name__}")
    return value


def _properties(fields: list[Any]) -> dict[str, Any]:
    given = zip(_PROPERTIES, fields, strict=False)
    return {
        name: shown(value) if isinstance(value, bytes) else value for name, value in given if name and value is not None
    }


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> str:
    """What JSON has no type for: binary, and decimals, which keep their digits as text."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _time(milliseconds: Any) -> datetime | None:
    """An AMQP timestamp, milliseconds since 1970; None for what is no date."""
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


_SECTIONS = {
    _PROPERTIES_SECTION: "properties",
    _APPLICATION_PROPERTIES: "application properties",
    _DATA: "body",
    _SEQUENCE: "body",
    _VALUE: "body",
    _FOOTER: "footer",
}
