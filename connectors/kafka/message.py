"""A record of Kafka as a message (pure)."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from connectors.base import LogPartition, Message
from connectors.values import shown, text_or_bytes

_CONTENT_TYPE = ("content-type", "content_type", "contenttype")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def message_from(
    record: Any,
    *,
    source: str,
    partition: LogPartition,
    receipt: object,
    is_lost: Callable[[], bool],
    delivery_count: int,
) -> Message:
    """The message that an aiokafka.ConsumerRecord is.

    Its position has the time of the record besides topic, partition and offset: a topic that was made again has other
    messages at the same offsets.
    """
    headers = headers_of(record.headers) if record.headers else {}
    topic, number, offset, body, key = record.topic, record.partition, record.offset, record.value, record.key
    at, shown_at = _time(record.timestamp)
    is_tombstone = body is None
    properties: dict[str, Any] = {
        "topic": topic,
        "partition": number,
        "offset": offset,
        "timestamp": shown_at,
        "tombstone": is_tombstone,
    }
    shown_key = None
    if key is not None:
        properties["key"] = read = text_or_bytes(key)
        shown_key = shown(read)
    return Message(
        source=source,
        body=b"" if is_tombstone else body,
        position=f"{topic}/{number}/{offset}/{record.timestamp}",
        content_type=_content_type(headers) if headers else None,
        headers=headers,
        properties=properties,
        key=shown_key,
        enqueued_at=at,
        delivery_count=delivery_count,
        receipt=receipt,
        is_lost=is_lost,
        offset=(partition, offset),
        has_body=not is_tombstone,
    )


def headers_of(pairs: Iterable[tuple[str, bytes | None]]) -> dict[str, Any]:
    """Headers by name; a name that comes several times has the list of its values."""
    found: dict[str, Any] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        read = None if value is None else text_or_bytes(value)
        if name in repeated:
            found[name].append(read)
        elif name in found:
            found[name] = [found[name], read]
            repeated.add(name)
        else:
            found[name] = read
    return found


def _content_type(headers: dict[str, Any]) -> str | None:
    for name, value in headers.items():
        if name.lower() in _CONTENT_TYPE and isinstance(value, str):
            return value
    return None


@lru_cache(maxsize=64)  # the records of a busy partition share milliseconds
def _time(milliseconds: int) -> tuple[datetime | None, str | None]:
    """The producer's clock, or the broker's, as the topic says, and as text; None where it is none."""
    if milliseconds < 0:
        return None, None
    try:
        at = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None, None
    return at, at.isoformat()
