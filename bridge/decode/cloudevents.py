"""CloudEvents 1.0 in structured (JSON) and binary mode, and the older Event Grid schema.

A batch is split by the source that received it: one message, one event.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from bridge.decode.base import Decoded, DecodeSettings, Reader
from bridge.decode.eventgrid import is_eventgrid, looks_like_eventgrid, read_eventgrid
from bridge.decode.json import read_json
from bridge.decode.readers import reader_for
from bridge.errors import EventError, Reason
from connectors.base import Message
from hub.times import parse_rfc3339, parse_time
from hub.trace_context import trace_from
from rules.event import Opaque

_NAMED = frozenset(["specversion", "id", "source", "type", "subject", "time", "data", "data_base64"])
_VERSION = re.compile(r"\d{1,3}(\.\d{1,3}){0,2}", re.ASCII)
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_HTTP_PREFIX = "ce-"
_AMQP_PREFIXES = ("cloudevents:", "cloudevents_")
_KAFKA_PREFIX = "ce_"

_STRUCTURED, _BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
_URL_SAFE = str.maketrans("-_", "+/")
_BATCH = (
    "a batch of CloudEvents in one message, which is settled as one: send each event as a message of its own"
    " (HTTP sources take batches, as application/cloudevents-batch+json)"
)
"""The AMQP binding (section 1.3) has structured and binary mode only."""


class CloudEventsDecoder:
    """Decodes one CloudEvent a message; the mode is told by content type and headers, as the bindings say."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._readers: dict[str, Reader] = {}

    def __call__(self, message: Message) -> Decoded:
        """Raises: EventError."""
        media_type = _media_type(message.content_type)
        if media_type == _STRUCTURED or (media_type == _BATCHED and message.body.lstrip()[:1] == b"{"):
            return self._structured(message)
        if media_type == _BATCHED:
            raise _refused(_BATCH)
        if media_type.startswith("application/cloudevents"):
            raise _refused(f"the CloudEvents format {media_type[:60]!a} is not read: send application/cloudevents+json")
        attributes = _binary_attributes(message.headers)
        if attributes:
            data = self._data(message.body, message.content_type)
            if message.content_type is not None:
                attributes["datacontenttype"] = message.content_type
            return _event(attributes, data)
        if is_eventgrid(message):
            return read_eventgrid(message)
        if b'"specversion"' in message.body:
            return self._structured(message)  # brokers often carry no content type, or that of any JSON
        if looks_like_eventgrid(message):
            return read_eventgrid(message)
        raise _refused("no CloudEvent: neither a content type application/cloudevents+json nor ce- headers")

    def _structured(self, message: Message) -> Decoded:
        """JSON Event Format 1.0: attributes and data are members of one object."""
        event = read_json(message.body, message.content_type, self._settings.encoding)
        if isinstance(event, list):
            raise _refused(_BATCH)
        if not isinstance(event, dict):
            raise _refused("no CloudEvent: a structured one is a JSON object")
        content_type = event.get("datacontenttype")
        if content_type is not None and not isinstance(content_type, str):
            raise _refused("the attribute datacontenttype is not text")
        if not isinstance(event.get("time"), str | None):
            raise _refused("the attribute time is not text")
        return _event(event, self._structured_data(event, content_type))

    def _structured_data(self, event: Mapping[str, Any], content_type: str | None) -> Any:
        encoded = event.get("data_base64")
        if encoded is None:
            data = event.get("data")
            if isinstance(data, str) and (kind := _kind(content_type)) not in ("json", None):
                # The string is the text of the data (section 3.1.1), which JSON has already decoded.
                return self._reader(kind)(data.encode(), f"{_media_type(content_type)}; charset=utf-8")
            return data
        if event.get("data") is not None:
            raise _refused("a CloudEvent with both data and data_base64")
        try:
            body = _from_base64(encoded)
        except (TypeError, ValueError) as error:
            raise _refused("data_base64 is not base64") from error
        return self._data(body, content_type)

    def _data(self, body: bytes, content_type: str | None) -> Any:
        """What a body holds; one of a type that is not read stays opaque, and costs the rules that read it."""
        if not body:
            return None
        kind = _kind(content_type)
        if kind is None:
            return Opaque(f"binary data{_of_type(content_type)}")
        try:
            return self._reader(kind)(body, content_type)
        except EventError:
            if content_type:
                raise
            return Opaque("binary data without a content type")  # it need not be JSON (JSON format, section 3.1.1)

    def _reader(self, kind: str) -> Reader:
        reader = self._readers.get(kind)
        if reader is None:
            reader = self._readers[kind] = reader_for(kind, self._settings)
        return reader


def _event(attributes: Mapping[str, Any], data: Any) -> Decoded:
    """Checks what identifies an event (CloudEvents 1.0, section 3.1); an optional attribute that is empty is none.

    The trace is that of the event (CloudEvents 1.0, extension "Distributed Tracing"), not that of its last hop.
    """
    if (version := attributes.get("specversion")) != "1.0":
        raise _refused(f"the attribute specversion is not 1.0: {_version(version)}, only 1.0 is read")
    others = {
        name: value for name, value in attributes.items() if name not in _NAMED and value is not None and value != ""
    }
    trace, tracestate = trace_from(others)
    return Decoded(
        id=_required(attributes, "id"),
        source=_required(attributes, "source"),
        type=_required(attributes, "type"),
        subject=_required(attributes, "subject") if attributes.get("subject") not in (None, "") else None,
        time=_time(attributes.get("time")),
        data=data,
        attributes=others,
        trace=trace,
        tracestate=tracestate,
    )


def _version(value: Any) -> str:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return 'a number and no text ("1.0")'
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else "it is missing or no version"


def _from_base64(encoded: Any) -> bytes:
    """As RFC 4648 has it, and as programs write it too: in lines, for URLs, without padding.

    Raises: TypeError, ValueError.
    """
    if not isinstance(encoded, str):
        raise TypeError
    text = "".join(encoded.split()).translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _required(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or not value:
        raise _refused(f"the attribute {name} is {_no_text(value)}")
    return value


def _no_text(value: Any) -> str:
    """What a value is that should be a text with something in it; the value itself is not said."""
    match value:
        case None:
            return "missing"
        case "":
            return "empty"
        case int() | float() | Decimal() if not isinstance(value, bool):
            return 'a number and no text: its sender writes it in quotes, such as "42"'
        case _:
            return "not text"


def _time(value: Any) -> datetime | None:
    """RFC 3339 text, or a native timestamp: a time, or what an AMQP client makes of one (AMQP binding, 3.1.3.2)."""
    if value is None or value == "":
        return None
    try:
        return parse_rfc3339(value) if isinstance(value, str) else parse_time(value)
    except ValueError as error:
        # Not chained: the message of a failed conversion quotes the value.
        raise _refused(f"the attribute time is {error}") from None


def _binary_attributes(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes among headers: `ce-` (HTTP binding, section 3.1.3), `cloudEvents:` or `_` (AMQP binding), `ce_` (Kafka
    binding, section 3.2.3)."""
    attributes = {}
    for header, value in headers.items():
        name = header.lower()
        if name.startswith(_HTTP_PREFIX):
            attributes[name.removeprefix(_HTTP_PREFIX)] = _unescaped(value) if isinstance(value, str) else value
        elif name.startswith(_AMQP_PREFIXES):
            attributes[name[len(_AMQP_PREFIXES[0]) :]] = value
        elif name.startswith(_KAFKA_PREFIX):
            attributes[name.removeprefix(_KAFKA_PREFIX)] = value
    return attributes


def _unescaped(value: str) -> str:
    """A header value without its quotes and percent-encoding (HTTP binding, section 3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise _refused("a ce- header whose percent-encoding is not UTF-8") from error


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _of_type(content_type: str | None) -> str:
    media_type = _media_type(content_type)
    return f" of the type {media_type}" if _TYPE.fullmatch(media_type) else ""


def _kind(content_type: str | None) -> str | None:
    """The format of the data; without a content type it is JSON (JSON Event Format, section 3.1)."""
    media_type = _media_type(content_type)
    if not media_type or media_type.endswith(("/json", "+json")):
        return "json"
    if media_type.endswith(("/xml", "+xml")):
        return "xml"
    return "text" if media_type.startswith("text/") else None


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)
