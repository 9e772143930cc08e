"""Avro's binary encoding (specification 1.11), by the schema that a body was written with.

fastavro reads; what it does not bound is bounded here. It recurses in C as deep as data are nested, and makes as many
values as a count says that take no byte, so that a body of a megabyte could end the process or fill its memory. A
schema says how much that can be: by one with which it is little, nothing is looked at before.
"""

import base64
import io
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from bridge.decode.avro_bounds import Bounds
from bridge.decode.base import MAX_DEPTH
from bridge.decode.json import MAX_CONTAINERS
from bridge.errors import EventError, Reason
from bridge.schemas.registry import RegisteredSchema
from rules.text import rfc3339

_MAX_TEXT: Final = 1024 * 1024
"""Bytes of a schema with all that it refers to."""

_MAX_NESTED: Final = 250
"""Levels of JSON in the text of a schema; a level of data has three."""

_MAX_DECIMAL: Final = 64
"""Bytes of a decimal: 154 digits."""

_MAX_SCALE: Final = 308
"""Digits of a decimal behind its point, as of a number of JSON."""

_BODY: Final = "PushbridgeBody"
"""The record that is put around a schema: fastavro finds what a record refers to, and not what a union does."""

_OURS: Final = "pushbridge-"
"""Before the name of a logical type that is read here: fastavro's own readers stay as they are for others."""


class AvroSchema:
    """A schema of the registry, compiled. Dates and times are text, decimals exact, bytes base64 (see docs/avro.md)."""

    def __init__(self, schema: RegisteredSchema) -> None:
        """Raises: ValueError: it is no schema, or one that is not read."""
        from fastavro import parse_schema
        from fastavro.schema import SchemaParseException, UnknownType

        _add_readers()
        named: dict[str, Any] = {}
        try:
            if sum(len(text) for text in (schema.text, *(text for _, text in schema.references))) > _MAX_TEXT:
                raise ValueError(f"it has more than {_MAX_TEXT} bytes with all that it refers to")
            for _, text in schema.references:
                parse_schema(_prepared(_loaded(text)), named)
            whole = {
                "type": "record",
                "name": _BODY,
                "fields": [{"name": "body", "type": _prepared(_loaded(schema.text))}],
            }
            self._schema = parse_schema(whole, named)
            self._bounds = Bounds(self._schema, named, max_depth=MAX_DEPTH + 1, max_containers=MAX_CONTAINERS)
        except (SchemaParseException, UnknownType, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no Avro schema: {str(error)[:200] or type(error).__name__}") from None

    def read(self, content: bytes) -> Any:
        """Raises: EventError: the content is not of the schema, or has too much in it; details name no value."""
        from fastavro import schemaless_reader

        self._bounds.check(content)
        stream = io.BytesIO(content)
        try:
            value: Any = schemaless_reader(stream, self._schema, None)
        except Exception as error:  # whatever the library raises for bytes that are not of the schema
            raise EventError(
                Reason.DECODE, f"not of its Avro schema at byte {stream.tell()}: {type(error).__name__}"
            ) from None
        if (left := len(content) - stream.tell()) > 0:
            raise EventError(Reason.DECODE, f"not of its Avro schema: {left} bytes are left behind the data")
        return value["body"]


def _loaded(text: str) -> Any:
    """Raises: ValueError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if text.isidentifier():  # a primitive type without its quotes, as some registries give it
            return text
        raise ValueError(f"no Avro schema: no JSON: {error.msg} at line {error.lineno}") from None
    below = [value]
    for _ in range(_MAX_NESTED):
        below = [
            child
            for each in below
            for child in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(child, dict | list)
        ]
        if not below:
            return value
    raise ValueError("the schema is nested too deep")


def _prepared(schema: Any) -> Any:
    """A schema whose values come in the form that rules have: each leaf that needs it has a logical type of ours."""
    match schema:
        case list():
            return [_prepared(each) for each in schema]
        case str():
            return {"type": schema, "logicalType": _OURS + schema} if schema in _LEAVES else schema
        case dict():
            return _prepared_object(schema)
    return schema


def _prepared_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    prepared = {name: value for name, value in schema.items() if name != "logicalType"}
    kind = schema.get("type")
    match kind:
        case "record" | "error":
            fields = schema.get("fields")
            if isinstance(fields, list):
                prepared["fields"] = [
                    {**field, "type": _prepared(field.get("type"))} if isinstance(field, dict) else field
                    for field in fields
                ]
        case "array":
            prepared["items"] = _prepared(schema.get("items"))
        case "map":
            prepared["values"] = _prepared(schema.get("values"))
        case str():
            logical = str(schema.get("logicalType"))
            if logical == "decimal" and kind in ("bytes", "fixed") and _is_decimal(schema):
                prepared["logicalType"] = _OURS + "decimal"
            elif f"{kind}-{_OURS}{logical}" in _READERS and logical != "decimal":
                prepared["logicalType"] = _OURS + logical
            elif kind in _LEAVES:
                prepared["logicalType"] = _OURS + kind
        case dict() | list():
            prepared["type"] = _prepared(kind)
    return prepared


def _is_decimal(schema: Mapping[str, Any]) -> bool:
    """A logical type that is none is left aside (specification, "Logical Types")."""
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    return isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision


def _decimal(value: bytes, schema: Mapping[str, Any]) -> Decimal:
    if len(value) > _MAX_DECIMAL:
        raise ValueError("a decimal that is too long")
    unscaled = int.from_bytes(value, "big", signed=True)
    digits = tuple(int(digit) for digit in str(abs(unscaled)))
    scale = schema.get("scale", 0)
    if scale > _MAX_SCALE:  # as plain digits it would be as long as the schema says, a gigabyte if it likes
        raise ValueError("a decimal with too many digits behind its point")
    return Decimal((int(unscaled < 0), digits, -scale))


def _base64(value: bytes, schema: Mapping[str, Any]) -> str:
    return base64.b64encode(value).decode()


def _finite(value: float, schema: Mapping[str, Any]) -> float | None:
    return value if math.isfinite(value) else None


def _date(days: int, schema: Mapping[str, Any]) -> str | None:
    try:
        return date.fromordinal(date(1970, 1, 1).toordinal() + days).isoformat()
    except (ValueError, OverflowError):
        return None


def _after_epoch(microseconds: int) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def _instant(microseconds: Callable[[int], int]) -> Callable[[int, Mapping[str, Any]], str | None]:
    def read(value: int, schema: Mapping[str, Any]) -> str | None:
        at = _after_epoch(microseconds(value))
        return None if at is None else rfc3339(at)

    return read


def _local(microseconds: Callable[[int], int]) -> Callable[[int, Mapping[str, Any]], str | None]:
    """Without an offset, as it has none."""

    def read(value: int, schema: Mapping[str, Any]) -> str | None:
        at = _after_epoch(microseconds(value))
        return None if at is None else at.replace(tzinfo=None).isoformat()

    return read


def _time_of_day(microseconds: Callable[[int], int]) -> Callable[[int, Mapping[str, Any]], str | None]:
    def read(value: int, schema: Mapping[str, Any]) -> str | None:
        of_day = microseconds(value)
        at = _after_epoch(of_day) if 0 <= of_day < _DAY else None
        return None if at is None else at.time().isoformat()

    return read


def _from_millis(value: int) -> int:
    return value * 1000


def _from_micros(value: int) -> int:
    return value


def _from_nanos(value: int) -> int:
    return value // 1000


_DAY: Final = 24 * 3600 * 1_000_000
_LEAVES: Final = ("bytes", "fixed", "float", "double")
_READERS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    f"{kind}-{_OURS}{logical}": reader
    for kind, logical, reader in (
        ("bytes", "bytes", _base64),
        ("fixed", "fixed", _base64),
        ("float", "float", _finite),
        ("double", "double", _finite),
        ("bytes", "decimal", _decimal),
        ("fixed", "decimal", _decimal),
        ("int", "date", _date),
        ("int", "time-millis", _time_of_day(_from_millis)),
        ("long", "time-micros", _time_of_day(_from_micros)),
        ("long", "timestamp-millis", _instant(_from_millis)),
        ("long", "timestamp-micros", _instant(_from_micros)),
        ("long", "timestamp-nanos", _instant(_from_nanos)),
        ("long", "local-timestamp-millis", _local(_from_millis)),
        ("long", "local-timestamp-micros", _local(_from_micros)),
        ("long", "local-timestamp-nanos", _local(_from_nanos)),
    )
}
"""By the type and the logical type that stands in a prepared schema."""


def _add_readers() -> None:
    from fastavro.read import LOGICAL_READERS

    for name, reader in _READERS.items():
        LOGICAL_READERS.setdefault(name, _as_its_readers(reader))


def _as_its_readers(reader: Callable[[Any, Mapping[str, Any]], Any]) -> Callable[..., Any]:
    """fastavro passes the schema that data are read into as well: there is none."""

    def read(value: Any, writer_schema: Mapping[str, Any], reader_schema: object = None) -> Any:
        return reader(value, writer_schema)

    return read
