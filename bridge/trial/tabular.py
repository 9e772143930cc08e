"""A sample of CSV or of fixed columns: how it is taken apart, and what a sample alone cannot say.

Nothing here is certain. Where two readings fit, a note asks the author of the configuration.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, get_args

from bridge.decode.base import FieldType
from bridge.decode.csv import MAX_COLUMNS, separator_in
from bridge.decode.fixed_width import NUMBERS_IN_BYTES

_DELIMITERS: Final = ";\t|,"
_FEWEST_ALONE: Final = 3
"""Fields of a record that comes alone: one comma makes no table of a sentence."""

_SHORTEST: Final = 8
"""Characters of a line of fixed columns."""

_NUMBER: Final = re.compile(r"[+-]?\d[\d.,'’ \u00a0\u202f]*-?")
_COMMA: Final = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.'’ \u00a0\u202f]\d{3})+),\d+-?")
_POINT: Final = re.compile(r"[+-]?\d+\.\d+-?")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}([.,])\d{3}")
_DAY: Final = re.compile(r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_COMPACT_DAY: Final = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_SLASHED: Final = re.compile(r"(\d\d?)[/.](\d\d?)[/.](?:\d\d)?\d\d")
_NAME: Final = re.compile(r"[^\W\d][\w .,/()#%*&'-]{0,59}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The section `decode` for a sample, and what is not certain of it, a line each."""

    decode: Mapping[str, Any]
    notes: Sequence[str]


# CSV


def csv_of(text: str) -> Table | None:
    """None where a text has no columns."""
    first, _, rest = text.partition("\n")
    separator = separator_in(first)
    likely, text = (_DELIMITERS, text) if separator is None else ([separator], rest)
    tables = {each: rows for each in likely if (rows := _rows(text, each)) is not None}
    if not tables:
        return None
    delimiter = max(tables, key=lambda each: len(tables[each][0]))
    rows = tables[delimiter]
    notes: list[str] = []
    if rivals := [each for each in tables if each != delimiter and len(tables[each][0]) == len(rows[0])]:
        notes.append(f"{_shown(rivals[0])} would fit as well as {_shown(delimiter)}: see whether delimiter is right")
    names, has_header = _columns(rows, notes)
    records = rows[1:] if has_header else rows
    if not records:
        return None
    decode: dict[str, Any] = {"format": "csv", "delimiter": delimiter}
    if not has_header or names != [cell.strip() for cell in rows[0]]:
        decode |= {"columns": names, "header": has_header}
    types = _types(names, records, notes)
    decode |= {"types": types} if types else {}
    decode |= {"split": "lines"} if has_header or len(records) > 1 else {}
    return Table(decode=decode, notes=notes)


def _rows(text: str, delimiter: str) -> list[list[str]] | None:
    """The records, as a body of CSV would have them; None where the text is no table with this delimiter."""
    lines = text.replace("\r\n", "\n").replace("\x85", "\n").split("\n")
    try:
        read = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
        rows = [row for row in read if any(field.strip() for field in row)]
    except csv.Error:
        return None
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not 1 < len(rows[0]) <= MAX_COLUMNS:
        return None
    if len(rows) == 1 and (len(rows[0]) < _FEWEST_ALONE or f"{delimiter} " in text):
        return None
    return rows


def _columns(rows: Sequence[Sequence[str]], notes: list[str]) -> tuple[list[str], bool]:
    """The names of the columns, and whether the first line has them."""
    first = [cell.strip() for cell in rows[0]]
    numbered = [f"column{number}" for number in range(1, len(first) + 1)]
    named = [cell for cell in first if cell]
    if len(rows) == 1 or not named or not all(_NAME.fullmatch(cell) for cell in named):
        notes.append("no line has names of columns: give them names in columns")
        return numbered, False
    if not any(_is_value(cell) for row in rows[1:] for cell in row):
        notes.append(
            "the first line is taken for names of columns; where it is a record, write columns: [...] and header: false"
        )
    names: list[str] = []
    for cell, number in zip(first, numbered, strict=True):
        names.append(cell if cell and cell not in names else number)
        if names[-1] != cell:
            what = f"has the name {_quoted(cell)} a second time" if cell else "has a column without a name"
            notes.append(f"the first line {what}: it is {number} here")
    return names, True


def _is_value(cell: str) -> bool:
    return bool(re.search(r"\d", cell))


def _types(names: Sequence[str], records: Sequence[Sequence[str]], notes: list[str]) -> dict[str, str]:
    """What columns hold where all of their values say the same; of the others a note where a reading would be a guess."""
    types: dict[str, str] = {}
    for name, cells in zip(names, zip(*records, strict=True), strict=True):
        values = [cell.strip() for cell in cells if cell.strip()]
        kind, note = _kind_of(values)
        if kind:
            types[name] = kind
        if note:
            notes.append(f"{name}: {note}")
    return types


def _kind_of(values: Sequence[str]) -> tuple[str, str]:
    """The type, empty for text, and what to ask, empty for nothing."""
    if not values:
        return "", ""

    def fits(pattern: re.Pattern[str]) -> bool:
        return all(pattern.fullmatch(value) for value in values)

    shown = _quoted(values[0])
    if fits(_DAY):
        return "date", ""
    if fits(_SLASHED):
        days = [match for value in values if (match := _SLASHED.fullmatch(value)) is not None]
        if "." in values[0] or any(int(match[1]) > 12 for match in days):
            return "", f"{shown} is a day that is read as text"
        return "", f"{shown} is a day of which nothing says whether the month comes first; it is text"
    if fits(_THOUSANDS):
        return (
            "",
            f"{shown} may be a number above a thousand, or one with three decimals; types: decimal or decimal_comma",
        )
    if fits(_POINT):
        return "decimal", ""
    if any("," in value for value in values) and all(_COMMA.fullmatch(value) or value.isdecimal() for value in values):
        return "decimal_comma", ""
    if any("." in value for value in values) and all(_POINT.fullmatch(value) or value.isdecimal() for value in values):
        return "decimal", ""
    if fits(_NUMBER) and any(not value.isdecimal() for value in values):
        return "", f"{shown} looks like a number that no type reads; it is text"
    return "", ""


# Fixed columns


def fields_of(given: Sequence[str]) -> dict[str, Any]:
    """The fields that are described as NAME=FIRST-LAST, with `:TYPE` and `:SCALE` behind. Raises: ValueError."""
    fields: dict[str, Any] = {}
    for text in given:
        match = re.fullmatch(r"([^\s.\[\]=]{1,200})=(\d+(?:-\d+)?)(?::([a-z_]+))?(?::(\d+))?", text)
        if match is None:
            raise ValueError(f"--field {text!r}: write NAME=FIRST-LAST, such as amount=13-18:packed:2")
        name, at, kind, scale = match.groups()
        if kind and kind not in get_args(FieldType):
            raise ValueError(f"--field {text!r}: there is no type {kind}; there are {', '.join(get_args(FieldType))}")
        if name in fields:
            raise ValueError(f"--field {text!r}: another field has this name")
        whole = {"at": at} | ({"type": kind} if kind else {}) | ({"scale": int(scale)} if scale else {})
        fields[name] = at if len(whole) == 1 else whole
    return fields


def described(body: bytes, lines: Sequence[str], fields: Mapping[str, Any], length: int | None) -> Table:
    """The columns that were described; `lines` are those of the body, as far as it has some."""
    decode: dict[str, Any] = {"format": "fixed_width", "fields": dict(fields)}
    notes: list[str] = []
    kinds = {field.get("type") for field in fields.values() if isinstance(field, dict)}
    if length is None and kinds & NUMBERS_IN_BYTES:
        length = len(body)
        notes.append("the whole sample is taken for one record, as packed and binary numbers leave no line ends")
    if length is not None:
        decode["length"] = length
        decode |= {"split": "records"} if len(body) > length else {}
    elif len(lines) > 1:
        decode["split"] = "lines"
    return Table(decode=decode, notes=notes)


def guessed(lines: Sequence[str], *, length: int | None) -> Table | None:
    """Columns of lines that have the same length, a character being a byte; None where nothing looks like columns."""
    width = len(lines[0]) if lines else 0
    if len(lines) < 2 or width < _SHORTEST or {len(line) for line in lines} != {width}:
        return None
    starts = [0, *(at for at in range(1, width) if _begins(lines, at)), width]
    spans = [(first + 1, last) for first, last in pairwise(starts) if any(line[first:last].strip() for line in lines)]
    if len(spans) < 2:
        return None
    notes = [
        f"columns are guessed from {len(lines)} lines: hold them against the description of the record, and name them",
        "digits with a point that is not written are text here: { at: 9-16, type: zoned, scale: 2 } makes a number of them",
    ]
    fields: dict[str, Any] = {}
    for number, (first, last) in enumerate(spans, start=1):
        values = [line[first - 1 : last].strip() for line in lines]
        is_day = all(_COMPACT_DAY.fullmatch(value) or _DAY.fullmatch(value) for value in values)
        at = f"{first}-{last}"
        fields[f"field{number}"] = {"at": at, "type": "date"} if is_day else at
    decode: dict[str, Any] = {"format": "fixed_width", "fields": fields}
    decode |= {"split": "lines"} if length is None else {"length": length, "split": "records"}
    return Table(decode=decode, notes=notes)


def _begins(lines: Sequence[str], at: int) -> bool:
    """Whether a column begins there: behind blanks of all lines, or where all go from digits to letters or back."""
    before, here = [line[at - 1] for line in lines], [line[at] for line in lines]
    if all(each == " " for each in before):
        return any(each != " " for each in here)
    digits = all(each.isdecimal() for each in before), all(each.isdecimal() for each in here)
    letters = all(each.isalpha() for each in before), all(each.isalpha() for each in here)
    return (digits[0] and letters[1]) or (letters[0] and digits[1])


def _shown(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else _quoted(delimiter)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
