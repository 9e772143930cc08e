"""`sources.NAME.decode`: how the bytes of a message become data."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bridge.config.section import Section, form
from bridge.decode.base import FieldType, KeyFormat, ValueType
from bridge.decode.charset import charset_named
from bridge.decode.fixed_width import NUMBERS_IN_BYTES
from bridge.decode.pattern import compile_pattern
from bridge.decode.readers import formats
from bridge.decode.registered import has_registry
from bridge.decode.schema import JsonSchema
from bridge.schemas.settings import RegistrySettings
from connectors.connector import MAX_BODY
from connectors.size import Size
from hub.tls import ExistingFile


def _pattern(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


def _schema(path: Path) -> Path:
    JsonSchema(path)
    return path


def _encoding(name: str) -> str:
    if (charset := charset_named(name)) is None:
        raise ValueError("not an encoding that is supported; write latin-1, cp1252, cp1141, utf-16 or such")
    return charset


_LONGEST_NUMBER = {"packed": 20, "zoned": 40, "binary": 16}
"""Bytes of a field; the numbers of COBOL have 38 digits at most."""

_AT = re.compile(r"([1-9][0-9]{0,6})(?:-([1-9][0-9]{0,6}))?", re.ASCII)


class FixedField(Section):
    """Where a field of a fixed-width record is, and what it means."""

    at: Annotated[str, form(_AT.pattern, "the first and the last byte, counted from 1, such as 1-12")]
    """First and last byte, counted from 1, such as 13-20."""
    type: FieldType = "text"
    """What the bytes mean: text, a number as mainframes keep it (packed, zoned, binary), or a type of text."""
    scale: int = Field(default=0, ge=0, le=30)
    """How many digits of a number are behind a point that is not written."""

    @model_validator(mode="after")
    def _check_field(self) -> Self:
        first, last = self.span
        if last < first:
            raise ValueError(f"at: {self.at} ends before it begins")
        most = _LONGEST_NUMBER.get(self.type)
        if most is not None and last - first >= most:
            raise ValueError(f"a {self.type} number has {most} bytes at most")
        if self.scale and self.type not in (*_LONGEST_NUMBER, "decimal", "int"):
            raise ValueError("scale is for numbers: packed, zoned, binary, decimal and int")
        return self

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last byte."""
        found = _AT.fullmatch(self.at)
        assert found is not None
        return int(found[1]), int(found[2] or found[1])


def _field(value: object) -> object:
    return {"at": str(value)} if isinstance(value, str | int) and not isinstance(value, bool) else value


if TYPE_CHECKING:
    _Format = str
else:
    _Format = Literal[tuple(formats())]


class Decode(Section):
    """How bodies are read.

    `pattern` is for text, `root` and `lists` are for XML, `types` for both; all four serve CloudEvents' data too.
    `columns`, `header` and `delimiter` are for CSV, `fields` and `length` for fixed width.
    `encoding` is that of bodies which do not say theirs.
    """

    format: _Format | None = None
    """Unless set, JSON; for an HTTP source of that format, CloudEvents."""
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    """A regular expression whose named groups become the fields of data; for text."""
    root: str | None = None
    """The name that the document element has to have; for XML."""
    types: Mapping[str, ValueType] = Field(default_factory=dict)
    """The kind of value at an element's path or a group, for what else is text."""
    lists: tuple[
        Annotated[str, form(r"[^\s@/.]+([/.][^\s@/.]+)*", "the name or path of an element, such as Lines.Line")], ...
    ] = ()
    """Elements that always make a list, even where one comes alone; for XML."""
    columns: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """The names of fields in their order, for CSV without a line of names."""
    header: bool | None = None
    """Whether the first line of CSV has the names of columns; unless set, it has where columns is not set."""
    delimiter: Annotated[str, form(r"[^\"\r\n]", "one character")] = ","
    """What stands between two fields of CSV, such as ; or a tab."""
    fields: Mapping[
        Annotated[str, form(r"[^\s.\[\]]{1,200}", "a name without blanks, dots and brackets")],
        Annotated[FixedField, BeforeValidator(_field)],
    ] = Field(default_factory=dict)
    """The fields of a fixed-width record by name: its bytes, such as 1-12, or bytes, type and scale."""
    length: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many bytes a fixed-width record has, where it has no line end."""
    split: (
        Annotated[
            str,
            form(r"lines|records|data(\.[^\s.\[\]]+)*", "lines, records, or the path of an array, such as data.items"),
        ]
        | None
    ) = None
    """What of one body is an event of its own: lines, records of length bytes, or the elements of an array."""
    json_schema: Annotated[ExistingFile, AfterValidator(_schema)] | None = Field(default=None, alias="schema")
    """A file with a JSON Schema that the data have to meet; an event whose data do not is a dead letter."""
    registry: RegistrySettings | None = None
    """A schema registry with what bodies name before their content; avro needs one, json and debezium may have one."""
    key: KeyFormat | None = None
    """The format of messages' keys, where the registry has their schemas too; meta.key is then the key's value."""
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    """The charset of bodies that do not name theirs."""
    max_body: Annotated[Size, Field(gt=0)] = MAX_BODY
    """Bodies larger than this are refused."""
    on_error: Literal["dead_letter", "ack"] = "dead_letter"
    """Where a body goes that cannot be read: to the dead letters, or nowhere."""

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.pattern is not None and self.format in ("json", "xml"):
            raise ValueError("pattern is for format: text")
        if self.types and (
            self.format in (None, "json", "fixed_width", "debezium") or (self.format == "text" and self.pattern is None)
        ):
            raise ValueError("types are for format: xml and csv, and for the groups of a text's pattern")
        if self.format == "text" and self.pattern is not None:
            groups = re.compile(self.pattern).groupindex
            if strangers := sorted(self.types.keys() - groups.keys()):
                raise ValueError(
                    f"types: the pattern has no group {strangers[0]}; it has {', '.join(groups) or 'none'}"
                )
        if (self.root is not None or self.lists) and self.format not in ("xml", "cloudevents"):
            raise ValueError("root and lists are for format: xml")
        self._check_columns()
        self._check_fields()
        self._check_split()
        self._check_registry()
        return self

    def _check_registry(self) -> None:
        """Raises: ValueError."""
        if self.registry is None:
            if self.format == "avro":
                raise ValueError("avro needs registry, such as { url: https://registry.example.com:8081 }")
            if self.key is not None:
                raise ValueError("key needs registry, which has the schemas of keys")
            return
        if not has_registry(self.format or "json"):
            raise ValueError("registry is for format: avro, json and debezium")
        if self.split is not None:
            raise ValueError("split is not for bodies with a schema of a registry")
        if "avro" in (self.format, self.key) and find_spec("fastavro") is None:
            raise ValueError("avro needs its library: install pushbridge[avro]")

    def _check_columns(self) -> None:
        """Raises: ValueError."""
        if self.format != "csv":
            given = {
                "columns": bool(self.columns),
                "header": self.header is not None,
                "delimiter": self.delimiter != ",",
            }
            if wrong := [name for name, is_given in given.items() if is_given]:
                raise ValueError(f"{wrong[0]} is for format: csv")
            return
        if self.header is False and not self.columns:
            raise ValueError("CSV without a line of names needs columns")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns: each has a name of its own")
        if self.columns and (strangers := sorted(self.types.keys() - set(self.columns))):
            raise ValueError(f"types: there is no column {strangers[0]}; there are {', '.join(self.columns)}")

    def _check_fields(self) -> None:
        """Raises: ValueError."""
        if self.format != "fixed_width":
            if self.fields or self.length is not None:
                raise ValueError(f"{'fields' if self.fields else 'length'} is for format: fixed_width")
            return
        if not self.fields:
            raise ValueError("fixed_width needs fields, such as { account: 1-12 }")
        if self.encoding is not None and self.encoding.startswith(("utf-16", "utf-32")):
            raise ValueError(f"fixed_width counts bytes, and characters of {self.encoding} have several")
        name, last = max(((name, field.span[1]) for name, field in self.fields.items()), key=lambda each: each[1])
        if self.length is not None and last > self.length:
            raise ValueError(f"fields: {name} ends at byte {last}, and length is {self.length}")

    def _check_split(self) -> None:
        """Raises: ValueError."""
        if self.split is None:
            return
        if self.split == "records":
            if self.length is None:
                raise ValueError("split: records needs format: fixed_width and length, the bytes of a record")
        elif self.split == "lines":
            numbers = [name for name, field in self.fields.items() if field.type in NUMBERS_IN_BYTES]
            if numbers:
                raise ValueError(
                    f"split: lines would cut {numbers[0]} in two: a byte of a {self.fields[numbers[0]].type} number may be"
                    " that of a line end; write split: records and length"
                )
            if self.length is not None:
                raise ValueError("length is for split: records, of records without line ends")
            if self.format == "xml":
                raise ValueError("split is not for format: xml")
        elif self.format not in (None, "json", "debezium"):
            raise ValueError("split by a path is for format: json")
