"""The Event Grid event schema (Azure Event Grid documentation, "Azure Event Grid event schema")."""

from collections.abc import Mapping
from typing import Any

from bridge.decode.base import Decoded
from bridge.decode.instants import parse_instant
from bridge.decode.json import read_json
from bridge.decode.trace import trace_from
from bridge.errors import EventError, Reason
from connectors.base import Message

EVENT_TYPE_HEADER = "aeg-event-type"


def is_eventgrid(message: Message) -> bool:
    """Whether the message was delivered by Event Grid; it marks every delivery with a header."""
    return EVENT_TYPE_HEADER in message.headers


def read_eventgrid(message: Message) -> Decoded:
    """One event by its CloudEvents names: topic becomes source, eventType type, eventTime time, dataVersion stays.

    Raises: EventError.
    """
    event = read_json(message.body)
    if not isinstance(event, dict):
        raise EventError(Reason.DECODE, "an Event Grid event is a JSON object")
    try:
        time = parse_instant(_text(event, "eventTime"))
    except ValueError:
        # Not chained: the message of a failed conversion quotes the value.
        raise EventError(Reason.DECODE, "eventTime is not an RFC 3339 time") from None
    version = event.get("dataVersion")
    return Decoded(
        id=_text(event, "id"),
        source=_text(event, "topic"),
        type=_text(event, "eventType"),
        subject=_text(event, "subject"),
        time=time,
        data=event.get("data"),
        attributes={"dataversion": version} if isinstance(version, str) and version else {},
        trace=trace_from(message.headers),
    )


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise EventError(Reason.DECODE, f"{name} is missing, empty or not text")
    return value
