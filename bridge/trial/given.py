"""A message that a person writes, as a broker would hand it over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.base import Message
from connectors.connector import Connector


def given_message(
    connector: Connector[Any],
    *,
    source: str,
    body: bytes,
    headers: Mapping[str, Any],
    meta: Mapping[str, Any],
    content_type: str | None,
    name: str,
    at: datetime,
) -> Message:
    """A message of a source of this connector. `name` tells it from others by its id and position, where it has any."""
    own = {} if content_type is None else {"content_type": content_type}
    ids = {"message_id": f"test-{name}"} if "message_id" in connector.meta else {}
    properties = {**ids, **own, **meta}
    return Message(
        source=source,
        body=body,
        id=_text_or_none(meta.get("message_id")),
        position=name if connector.has_position else None,
        content_type=_text_or_none(properties.get("content_type")),
        headers=headers,
        properties=properties,
        enqueued_at=at,
    )


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
