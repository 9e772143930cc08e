"""The Event Grid event schema (Azure Event Grid documentation, "Azure Event Grid event schema")."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.decode.base import Decoded
from bridge.decode.json import read_json
from bridge.errors import EventError, Reason
from connectors.base import Message
from hub.times import is_no_time, parse_time

EVENT_TYPE_HEADER = "aeg-event-type"
_MEMBERS = (b'"eventType"', b'"topic"', b'"eventTime"')


def is_eventgrid(message: Message) -> bool:
    """Whether the message was delivered by Event Grid; it marks every delivery with a header."""
    return EVENT_TYPE_HEADER in message.headers


def looks_like_eventgrid(message: Message) -> bool:
    """Whether a body has the members of the schema: the header is lost where a program passes the event on."""
    return all(member in message.body for member in _MEMBERS)


def _only_one(value: Any) -> Any:
    """The one event of an array of one; any other value as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def read_eventgrid(message: Message) -> Decoded:
    """One event by its CloudEvents names: topic becomes source, eventType type, eventTime time, dataVersion stays.

    Only what identifies an event is required: `id`, `topic` and `eventType`. System events have empty subjects. An array
    of one event is that event: Event Hubs gets them so.

    Raises: EventError.
    """
    event = _only_one(read_json(message.body, message.content_type))
    if not isinstance(event, dict):
        raise EventError(Reason.DECODE, "an Event Grid event is a JSON object")
    version = event.get("dataVersion")
    return Decoded(
        id=_text(event, "id"),
        source=_text(event, "topic"),
        type=_text(event, "eventType"),
        subject=_text(event, "subject") if event.get("subject") else None,
        time=_time(event.get("eventTime")),
        data=event.get("data"),
        attributes={"dataversion": version} if isinstance(version, str) and version else {},
    )


def _time(value: Any) -> datetime | None:
    """Event Grid's times are in UTC, whether they say so or not."""
    if is_no_time(value):
        return None
    try:
        return parse_time(value)
    except ValueError as error:
        raise EventError(Reason.DECODE, f"eventTime is {error}") from None


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise EventError(Reason.DECODE, f"{name} is missing, empty or not text")
    return value
