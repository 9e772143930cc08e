"""CSV bodies (RFC 4180), of one record each: `decode.split: lines` makes an event of every record of a body."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

from bridge.counts import how_many
from bridge.decode.base import DecodeSettings, ValueType
from bridge.decode.charset import text_of
from bridge.decode.types import TypedText
from bridge.errors import EventError, Reason

MAX_COLUMNS = 1000

_SEPARATOR = re.compile(r"""(?P<quote>"?)sep=(?P<separator>[^"\r\n])(?P=quote)\s*""", re.IGNORECASE)


def separator_in(line: str) -> str | None:
    """What stands between fields, by a first line such as `sep=;`, as spreadsheets write it; None: no such line."""
    found = _SEPARATOR.fullmatch(line)
    return None if found is None else found["separator"]


class CsvReader:
    """Reads a record into its fields by the names of columns.

    The names are `columns`, else those of the first line; with both, the first line is passed over. A field is text, or
    what `types` says of its column; white space around it stays. A record has as many fields as there are columns. Line
    ends within quotes are part of a field. Lines of white space and separators alone are passed over. A first line such as
    `sep=;` counts more than `delimiter`, and is no record.
    """

    def __init__(
        self,
        *,
        columns: Sequence[str] = (),
        has_names: bool = True,
        delimiter: str = ",",
        types: Mapping[str, ValueType] | None = None,
        encoding: str | None = None,
        timezone: tzinfo = UTC,
    ) -> None:
        self._columns = columns
        self._has_names = has_names
        self._delimiter = delimiter
        self._types = {name: TypedText(kind, timezone) for name, kind in (types or {}).items()}
        self._encoding = encoding

    def __call__(self, body: bytes, content_type: str | None = None) -> dict[str, Any]:
        """Raises: EventError."""
        rows = self._rows(text_of(body, content_type, self._encoding))
        columns = self._columns
        if self._has_names:
            if not rows:
                raise _refused("CSV without a line")
            columns = columns or _named(rows[0])
            rows = rows[1:]
        if len(rows) != 1:
            hint = "; decode.split: lines makes an event of each" if rows else ""
            raise _refused(f"CSV with {how_many(len(rows), 'record')} where one was expected{hint}")
        (row,) = rows
        if len(row) != len(columns):
            raise _refused(
                f"CSV with {how_many(len(row), 'field')} in a record, and {how_many(len(columns), 'column')}"
                f"{'; decode.delimiter says what is between two fields' if len(row) == 1 else ''}"
            )
        record: dict[str, Any] = dict(zip(columns, row, strict=True))
        for name, read in self._types.items():
            if name not in record:
                raise _refused(f"CSV without a column {name}, which decode.types names")
            record[name] = read(name, record[name])
        return record

    def _rows(self, text: str) -> list[list[str]]:
        """The records with something in them."""
        lines = text.replace("\r\n", "\n").replace("\x85", "\n").split("\n")
        separator = separator_in(lines[0])
        if separator is not None:
            lines[0] = ""  # left as a blank line, so that complaints count lines as the sender does
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator or self._delimiter, strict=True)
        try:
            return [row for row in reader if any(field.strip() for field in row)]
        except csv.Error as error:
            # Not chained: nothing of the record is said, but which of the reader's few complaints it is.
            is_alone = "new-line character" in str(error)
            complaint = "a carriage return stands alone, and lines end with LF or CR LF" if is_alone else str(error)
            raise _refused(f"not CSV: {complaint} at line {reader.line_num}") from None


def _named(row: Sequence[str]) -> Sequence[str]:
    names = [name.strip() for name in row]
    if len(names) > MAX_COLUMNS:
        raise _refused(f"CSV with {len(names)} columns, {MAX_COLUMNS} are allowed")
    if "" in names:
        raise _refused(f"CSV whose column {names.index('') + 1} has no name")
    if len(set(names)) != len(names):
        twice = next(number for number, name in enumerate(names, start=1) if names.index(name) != number - 1)
        raise _refused(f"CSV whose column {twice} has the name of another column")
    return names


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)


def reader(settings: DecodeSettings) -> CsvReader:
    """For `decode.format: csv`."""
    return CsvReader(
        columns=settings.columns,
        has_names=settings.has_names,
        delimiter=settings.delimiter,
        types=settings.types,
        encoding=settings.encoding,
        timezone=settings.timezone,
    )
