"""Database change events in Debezium's envelope, as its HTTP sink posts them and Kafka Connect writes them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import orjson

from bridge.decode.base import Decoded, DecodeSettings, Reader
from bridge.decode.readers import reader_for
from bridge.decode.registered import reader as registered_reader
from bridge.errors import EventError, Reason
from connectors.base import Message
from hub.exact_json import dumps

_OPERATIONS: Final[Mapping[str, str]] = {
    "c": "created",
    "u": "updated",
    "d": "deleted",
    "r": "read",
    "t": "truncated",
    "m": "message",
}
_OTHERS: Final[Mapping[str, str]] = {"ddl": "schema.changed", "tableChanges": "schema.changed", "status": "transaction"}
"""What an envelope without a row is about, by a member that it has; one with a time alone is a heartbeat."""

_LATEST_MS: Final = 253_402_300_799_000  # the year 9999


class DebeziumDecoder:
    """Decodes a change of one row, with the schema of its value (`schemas.enable`) or without, or in a registry.

    The data has `op` (`created`, `updated`, `deleted`, `read` in a snapshot, `truncated`, `message`), `database`, `schema`,
    `table`, `before`, `after`, and `row`, which is the one of the two that there is, the later one first; `changed` are the
    columns of an update that differ, where the database says what was before. The type of the event is `row.` and the
    operation, the subject the table, the source the connector and its name, and the time that of the change.

    The id is made of what the database says of the change and the row, so that the same change has the same id however
    often it is sent. What is no change of a row (heartbeats, transactions, changes of tables) is an event of the type
    `heartbeat`, `transaction` or `schema.changed`, with the data as they are.
    """

    def __init__(self, settings: DecodeSettings) -> None:
        self._read: Reader = reader_for("json", settings) if settings.registry is None else registered_reader(settings)

    def __call__(self, message: Message) -> Decoded:
        """Raises: EventError."""
        if not message.has_body:
            return Decoded(data=None, type="row.tombstone")
        envelope = self._read(message.body, message.content_type)
        if isinstance(envelope, dict) and envelope.keys() == {"schema", "payload"}:
            envelope = envelope["payload"]
        if not isinstance(envelope, dict):
            raise _refused("no change event of Debezium: it is a JSON object, with the row in before and after")
        if "op" not in envelope:
            return Decoded(data=envelope, type=_other(envelope))
        operation = _OPERATIONS.get(str(envelope["op"]))
        source = envelope.get("source")
        if operation is None:
            raise _refused("the op of a change event is none of c, u, d, r, t and m")
        if not isinstance(source, dict):
            raise _refused("a change event without a source")
        before, after = envelope.get("before"), envelope.get("after")
        named = {name: _text(source.get(name)) for name in ("db", "schema", "table", "collection", "connector", "name")}
        table = named["table"] or named["collection"]
        return Decoded(
            data={
                "op": operation,
                "database": named["db"],
                "schema": named["schema"],
                "table": table,
                "before": before,
                "after": after,
                "row": before if after is None else after,
                "changed": _changed(before, after),
            },
            id=_id(envelope, source),
            source=f"/{named['connector'] or 'debezium'}/{named['name']}",
            type=f"row.{operation}",
            subject=".".join(part for part in (named["schema"] or named["db"], table) if part) or None,
            time=_time(source.get("ts_ms")),
        )


def _id(envelope: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    """Of all but the time at which Debezium handled the change: that is another one with each repetition."""
    content = [source, *(envelope.get(name) for name in ("op", "before", "after", "message"))]
    try:
        written = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a Decimal, or an integer beyond 64 bits
        written = dumps(content, wide=True)
    return blake2b(written, digest_size=16, usedforsecurity=False).hexdigest()


def _changed(before: Any, after: Any) -> list[str]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    return [name for name, value in after.items() if name not in before or before[name] != value]


def _other(envelope: Mapping[str, Any]) -> str:
    if not envelope.keys() - {"ts_ms", "ts_us", "ts_ns"} and envelope:
        return "heartbeat"
    for member, type in _OTHERS.items():
        if member in envelope:
            return type
    raise _refused("no change event of Debezium: there is no op; decode.format: json reads rows that were unwrapped")


def _time(value: Any) -> datetime | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LATEST_MS:
        return datetime.fromtimestamp(value / 1000, UTC)
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)
