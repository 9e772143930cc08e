"""CloudEvents 1.0 in structured (JSON) and binary mode, and the older Event Grid schema.

A batch is split by the source that received it: one message, one event.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote

from bridge.decode.base import Decoded, DecodeSettings, Reader
from bridge.decode.eventgrid import is_eventgrid, read_eventgrid
from bridge.decode.instants import parse_instant
from bridge.decode.json import read_json
from bridge.decode.readers import reader_for
from bridge.decode.trace import trace_from
from bridge.errors import EventError, Reason
from connectors.base import Message

_NAMED = frozenset(["specversion", "id", "source", "type", "subject", "time", "data", "data_base64"])
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")
_HTTP_PREFIX = "ce-"
_AMQP_PREFIXES = ("cloudevents:", "cloudevents_")

_Kind = Literal["json", "xml", "text"]


class CloudEventsDecoder:
    """Decodes one CloudEvent a message; the mode is told by content type and headers, as the bindings say."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._readers: dict[_Kind, Reader] = {}

    def __call__(self, message: Message) -> Decoded:
        """Raises: EventError."""
        media_type = _media_type(message.content_type)
        if media_type == "application/cloudevents+json":
            return self._structured(message)
        if media_type.startswith("application/cloudevents"):
            raise _refused("a CloudEvents format other than one JSON event")
        attributes = _binary_attributes(message.headers)
        if attributes:
            data = self._data(message.body, message.content_type)
            if message.content_type is not None:
                attributes["datacontenttype"] = message.content_type
            return _event(attributes, data, message)
        if is_eventgrid(message):
            return read_eventgrid(message)
        raise _refused("no CloudEvent: neither a content type application/cloudevents+json nor ce- headers")

    def _structured(self, message: Message) -> Decoded:
        """JSON Event Format 1.0: attributes and data are members of one object."""
        event = read_json(message.body)
        if not isinstance(event, dict):
            raise _refused("a structured CloudEvent is a JSON object")
        content_type = event.get("datacontenttype")
        if content_type is not None and not isinstance(content_type, str):
            raise _refused("the attribute datacontenttype is not text")
        return _event(event, self._structured_data(event, content_type), message)

    def _structured_data(self, event: Mapping[str, Any], content_type: str | None) -> Any:
        encoded = event.get("data_base64")
        if encoded is None:
            data = event.get("data")
            if isinstance(data, str) and _kind(content_type) != "json":
                # The string is the text of the data (section 3.1.1), which JSON has already decoded.
                return self._data(data.encode(), f"{_media_type(content_type)}; charset=utf-8")
            return data
        if event.get("data") is not None:
            raise _refused("a CloudEvent with both data and data_base64")
        try:
            body = base64.b64decode(encoded, validate=True)
        except (TypeError, ValueError) as error:
            raise _refused("data_base64 is not base64") from error
        return self._data(body, content_type)

    def _data(self, body: bytes, content_type: str | None) -> Any:
        if not body:
            return None
        kind = _kind(content_type)
        if kind is None:
            raise _refused("data of a content type that is neither JSON nor XML nor text")
        reader = self._readers.get(kind)
        if reader is None:
            reader = self._readers[kind] = reader_for(kind, self._settings)
        return reader(body, content_type)


def _event(attributes: Mapping[str, Any], data: Any, message: Message) -> Decoded:
    """Checks the attributes (CloudEvents 1.0, section 3); the trace of the event wins over that of its last hop."""
    if attributes.get("specversion") != "1.0":
        raise _refused("the attribute specversion is not 1.0")
    others = {name: _other(name, value) for name, value in attributes.items() if name not in _NAMED}
    return Decoded(
        id=_required(attributes, "id"),
        source=_required(attributes, "source"),
        type=_required(attributes, "type"),
        subject=None if attributes.get("subject") is None else _required(attributes, "subject"),
        time=_time(attributes),
        data=data,
        attributes={name: value for name, value in others.items() if value is not None},
        trace=trace_from(others) or trace_from(message.headers),
    )


def _required(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or not value:
        raise _refused(f"the attribute {name} is missing, empty or not text")
    return value


def _time(attributes: Mapping[str, Any]) -> datetime | None:
    if attributes.get("time") is None:
        return None
    try:
        return parse_instant(_required(attributes, "time"))
    except ValueError:
        # Not chained: the message of a failed conversion quotes the value.
        raise _refused("the attribute time is not an RFC 3339 time") from None


def _other(name: str, value: Any) -> Any:
    """An extension: text, integer or truth value; null is as good as absent (JSON Event Format, section 2.2)."""
    if _ATTRIBUTE_NAME.fullmatch(name) is None:
        raise _refused("an attribute name with other characters than a-z and 0-9")
    if value is not None and not isinstance(value, (str, int)):
        raise _refused(f"the attribute {name[:20]} is neither text nor an integer nor a truth value")
    return value


def _binary_attributes(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes among headers: `ce-` (HTTP binding, section 3.1.3), `cloudEvents:` or `_` (AMQP binding)."""
    attributes = {}
    for header, value in headers.items():
        name = header.lower()
        if name.startswith(_HTTP_PREFIX):
            attributes[name.removeprefix(_HTTP_PREFIX)] = _unescaped(value) if isinstance(value, str) else value
        elif name.startswith(_AMQP_PREFIXES):
            attributes[name[len(_AMQP_PREFIXES[0]) :]] = value
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


def _kind(content_type: str | None) -> _Kind | None:
    """What the data is; without a content type it is JSON (JSON Event Format, section 3.1)."""
    media_type = _media_type(content_type)
    if not media_type or media_type.endswith(("/json", "+json")):
        return "json"
    if media_type.endswith(("/xml", "+xml")):
        return "xml"
    return "text" if media_type.startswith("text/") else None


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)
