"""The contract of decoding: a message in, its content and what it says about itself out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from bridge.decode.schema import JsonSchema
from bridge.schemas.registry import NO_SCHEMAS, KnownSchemas
from bridge.schemas.settings import RegistrySettings
from connectors.base import Message

ValueType = Literal["decimal", "decimal_comma", "int", "float", "bool", "datetime", "date"]

MAX_DEPTH = 64
"""How deep data may be nested: everything that walks it later may recurse."""


KeyFormat = Literal["avro", "json"]
FieldType = Literal[
    "text", "packed", "zoned", "binary", "decimal", "decimal_comma", "int", "float", "bool", "datetime", "date"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSettings:
    """A field of a fixed-width record: from its `first` byte to its `last`, both counted from 1.

    `scale` is how many of a number's digits stand behind a point that is not written.
    """

    first: int
    last: int
    type: FieldType = "text"
    scale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings:
    """How the bodies of a source are read.

    `pattern` (text) is a regular expression with named groups. `root` (XML) is the local name the root element must
    have. `types` says what a text means: of an element or attribute (XML) by its name (`Amount`, `@currency`) or by
    its path below the root (`Lines/Line/Price`), where a path wins over a name; of a pattern's group by its name.
    `columns` (CSV) are the names of the fields; without them, or with `header`, the first line has names. `delimiter` is
    what stands between two fields.
    `fields` (fixed width) say where each field of a record is, `length` how many bytes a record has.
    `schema` is what the data have to be like.
    With a `registry` each body names the schema that it was written by, and `schemas` are those that were looked up; with
    `key` the key of a message does so too, and is of that format.
    `split` says how one body is taken apart into several events: `lines`, `records` of `length` bytes, or the path of an
    array in JSON, which begins with `data`.
    `lists` (XML) names the elements that always are lists, in the same way, or by a path with dots. All four also apply
    to the data of a CloudEvent of that kind. `encoding` is that of bodies which do not say theirs; a time without an
    offset is in `timezone`. `max_body` is in bytes, and holds once more for what was unpacked.
    """

    format: str = "json"
    pattern: str | None = None
    root: str | None = None
    types: Mapping[str, ValueType] = field(default_factory=dict)
    lists: Sequence[str] = ()
    columns: Sequence[str] = ()
    header: bool | None = None
    delimiter: str = ","
    fields: Mapping[str, FieldSettings] = field(default_factory=dict)
    length: int | None = None
    split: str | None = None
    schema: JsonSchema | None = None
    registry: RegistrySettings | None = None
    key: KeyFormat | None = None
    schemas: KnownSchemas = NO_SCHEMAS
    encoding: str | None = None
    timezone: tzinfo = UTC
    max_body: int = 1024 * 1024

    @property
    def has_names(self) -> bool:
        """Whether the first line of CSV has the names of columns."""
        return not self.columns if self.header is None else self.header


@dataclass(slots=True, kw_only=True)
class Decoded:
    """What a message holds; the fields but `data` and the traces are None or empty unless the format carries them.

    `data` is JSON-like (dict, list, str, int, float, bool, None, Decimal), or `Opaque` where it cannot be read. The
    CloudEvents attributes have their own names; `attributes` holds the others (`dataschema`, `datacontenttype`,
    extensions), JSON-like. A CloudEvent is identified by `source` and `id` together. `trace` is a valid W3C traceparent
    or empty, `tracestate` what goes with it.

    Not frozen: one is made for every message, and freezing triples the cost of making it.
    """

    data: Any
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""
    tracestate: str = ""


Decoder = Callable[[Message], Decoded]
"""Decodes a message or raises EventError; no other exception leaves it, whatever the bytes."""

Reader = Callable[[bytes, str | None], Any]
"""Reads a body with its content type into data, or raises EventError."""
