"""What a message says besides its body, as JSON: kept with a dead letter, so that a replay decides by the same message.

JSON has no bytes, decimals and infinite numbers: each is an object with one key that begins with `$`.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.base import Message


def envelope_of(message: Message) -> str:
    """ASCII text; the body, the content type and the receipt are not part of it."""
    fields = {
        "id": message.id,
        "position": message.position,
        "enqueued_at": None if message.enqueued_at is None else message.enqueued_at.isoformat(),
        "headers": dict(message.headers),
        "properties": dict(message.properties),
        "unreadable": message.unreadable,
        "tombstone": not message.has_body,
    }
    return json.dumps({name: _plain(value) for name, value in fields.items() if value}, separators=(",", ":"))


def message_of(envelope: str, *, source: str, body: bytes, content_type: str | None, otherwise_id: str) -> Message:
    """The message again, on no broker; `otherwise_id` is its id if its broker gave it neither an id nor a position."""
    fields: Mapping[str, Any] = json.loads(envelope) if envelope else {}
    enqueued_at, position = fields.get("enqueued_at"), fields.get("position")
    return Message(
        source=source,
        body=body,
        id=fields.get("id") or (None if position else otherwise_id),
        position=position,
        content_type=content_type,
        headers=_value(fields.get("headers", {})),
        properties=_value(fields.get("properties", {})),
        enqueued_at=None if enqueued_at is None else datetime.fromisoformat(enqueued_at),
        unreadable=fields.get("unreadable", ""),
        is_alone=False,
        has_body=not fields.get("tombstone", False),
    )


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case Decimal():
            return {"$decimal": str(value)}
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case Mapping():
            plain = {str(name): _plain(item) for name, item in value.items()}
            return {"$object": plain} if any(name.startswith("$") for name in plain) else plain
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


_KINDS: dict[str, Callable[[Any], Any]] = {"$bytes": base64.b64decode, "$decimal": Decimal, "$float": float}


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        ((name, item),) = plain.items()
        if name == "$object":
            return {key: _value(each) for key, each in item.items()}
        if name in _KINDS:
            return _KINDS[name](item)
    return {name: _value(item) for name, item in plain.items()}
