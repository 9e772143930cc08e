"""A row as a message (pure)."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from connectors.base import Message
from connectors.values import text_or_bytes

_DIGEST = 8
"""Bytes of the digest that tells a row from an earlier one with the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that was read: its columns by name, as the driver gave them.

    `key` is what the reader knows it by. `version` tells it from an earlier row of the same id.
    """

    key: Any
    id: Any
    version: str
    columns: Mapping[str, Any]


def version_of(columns: Mapping[str, Any], *, leaving_out: str | None = None) -> str:
    """A digest of a row but for one column: ids come again where a table is emptied, and what they name is new then."""
    kept = {name: value for name, value in columns.items() if name != leaving_out}
    return blake2b(json_of(kept).encode(), digest_size=_DIGEST, usedforsecurity=False).hexdigest()


def message_from(
    row: Row, *, source: str, table: str, body: str | None, receipt: object, is_lost: Callable[[], bool]
) -> Message:
    """The message that a row is: with the column `body` as its body, or the whole of it as JSON."""
    properties: dict[str, Any] = {
        "table": table,
        "id": plain(row.id),
        "row": {name: plain(value) for name, value in row.columns.items()},
    }
    content = json_of(row.columns).encode() if body is None else _bytes_of(row.columns[body])
    return Message(
        source=source,
        body=content or b"",
        position=f"{table}/{text_of(row.id)}/{row.version}",
        content_type="application/json" if body is None else None,
        properties=properties,
        receipt=receipt,
        is_lost=is_lost,
        has_body=content is not None,
    )


def plain(value: Any) -> Any:
    """A value of a driver as a property of a message has it: text, bytes, a number, a list or an object of these."""
    match value:
        case None | bool() | int() | float() | str() | Decimal():
            return value
        case bytes() | bytearray() | memoryview():
            return text_or_bytes(bytes(value))
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return str(value)


def json_of(value: Any) -> str:
    """JSON (RFC 8259) of what `plain` gives: numbers keep their digits, and bytes that are no text are base64."""
    match plain(value):
        case Mapping() as entries:
            members = ",".join(f"{json.dumps(name)}:{json_of(item)}" for name, item in entries.items())
            return "{" + members + "}"
        case list() as items:
            return "[" + ",".join(json_of(item) for item in items) + "]"
        case bytes() as raw:
            return json.dumps(base64.b64encode(raw).decode())
        case Decimal() as number:
            return format(number, "f") if number.is_finite() else json.dumps(str(number))
        case float() as number if not math.isfinite(number):
            return json.dumps(str(number))
        case other:
            return json.dumps(other)


def text_of(value: Any) -> str:
    """An id as text."""
    read = plain(value)
    return read.hex() if isinstance(read, bytes) else str(read)


def _bytes_of(value: Any) -> bytes | None:
    match value:
        case None:
            return None
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case str():
            return value.encode(errors="surrogateescape")
        case _:
            return json_of(value).encode()
