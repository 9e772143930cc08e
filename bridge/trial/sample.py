"""One sample event as its system sends it: which format it has, what it holds, and how to take a text apart."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import regex

from bridge.decode import decoder_for
from bridge.decode.base import DecodeSettings, FieldSettings
from bridge.decode.charset import byte_order, is_ebcdic, text_of
from bridge.decode.fixed_width import NUMBERS_IN_BYTES
from bridge.decode.registered import schema_id
from bridge.decode.split import split_of
from bridge.errors import EventError
from bridge.trial.tabular import Table, csv_of, described, guessed
from connectors.base import Message

_NOT_ELEMENTS = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
_BEFORE = b"\xef\xbb\xbf \t\r\n"
"""A byte order mark and blanks, which may stand before a body."""

_VALUE = regex.compile(r"'([^']+)'|\"([^\"]+)\"|(?<![\w.])(?=\w*\d)(\w[\w.:-]*\w|\w)")
"""In a text: what is quoted, or a word with a digit in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is known of a sample: `format` and `encoding` where they are named, and of fixed columns the bytes of a record
    and the fields, as the section `decode` has them."""

    format: str | None = None
    encoding: str | None = None
    length: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A body that was read. `decode` is the section of that name; `type` is that of a CloudEvent, else empty.

    `data` are those of the first record, and `body` is it with what is needed to read it. `notes` are what a sample alone
    cannot say, a line each.
    """

    format: str
    decode: Mapping[str, Any]
    data: Any
    type: str
    body: bytes
    notes: Sequence[str] = ()


def read_sample(body: bytes, given: Given = Given()) -> Sample:
    """Raises: ValueError: the body has no format that can be seen, or is none of its kind; in words for its sender."""
    table = _table(body, given)
    if table is None:
        return _read(body, _single(body, given), ())
    return _read(body, table.decode, table.notes)


def _single(body: bytes, given: Given) -> dict[str, Any]:
    """The section `decode` of a body that is one event."""
    format_ = given.format or format_of(body)
    decode: dict[str, Any] = {"format": format_} | ({"encoding": given.encoding} if given.encoding else {})
    if format_ == "xml" and (root := _ROOT.search(_NOT_ELEMENTS.sub(b"", body))):
        decode["root"] = root[1].decode()
    if format_ == "text":
        decode["pattern"] = pattern_of(_text(body, given.encoding))
    return decode


def _table(body: bytes, given: Given) -> Table | None:
    """What a body of several columns is read by, None for other bodies. Raises: ValueError."""
    is_fixed = given.format == "fixed_width" or given.length is not None or bool(given.fields)
    is_open = not is_fixed and given.format is None and not is_ebcdic(given.encoding or "")
    if is_open and (schema_id(body) is not None or body.lstrip(_BEFORE)[:1] in (b"", b"{", b"[", b"<")):
        return None
    encoding, notes = _encoding_of(body, given)
    if given.format == "text":
        return Table(decode=_single(body, replace(given, encoding=encoding)), notes=notes)
    numbers = {field.get("type") for field in given.fields.values() if isinstance(field, dict)}
    text = "" if numbers & NUMBERS_IN_BYTES else _text(body, encoding)
    lines = [line for line in re.split("\r\n|\n|\x85", text) if line.strip()]
    table = None
    if given.fields:
        table = described(body, lines, given.fields, given.length)
    elif is_fixed or (table := csv_of(text.removeprefix("\ufeff"))) is None:
        if given.length is not None:
            lines = [text[at : at + given.length] for at in range(0, len(text), given.length)]
        table = guessed([_bytewise(line, encoding) for line in lines], length=given.length)
    if table is None:
        if is_fixed or given.format is not None:
            raise ValueError(
                f"no columns are seen in the sample: {'give them as --field NAME=1-12' if is_fixed else 'it is no CSV'}"
            )
        if len(lines) > 1 and (between := [each for each in ";\t|" if all(each in line for line in lines)]):
            notes.append(
                f"each line has {'a tab' if between[0] == chr(9) else between[0]}, and not the same number of them: where "
                "it is CSV, write format: csv and delimiter, and see what the sample is missing"
            )
        if encoding is not None or notes:
            return Table(decode=_single(body, replace(given, format="text", encoding=encoding)), notes=notes)
        return None
    decode = dict(table.decode) | ({"encoding": encoding} if encoding else {})
    return Table(decode=decode, notes=[*notes, *table.notes])


def _encoding_of(body: bytes, given: Given) -> tuple[str | None, list[str]]:
    """The encoding to write down, None where bodies say it themselves, and what to ask. Raises: ValueError."""
    if given.encoding is not None or byte_order(body) is not None:
        return given.encoding, []
    try:
        body.decode()
    except UnicodeDecodeError:
        pass
    else:
        return None, []
    blanks, blanks_of_ebcdic = body.count(b" "), body.count(b"@")
    letters = sum(0xC1 <= byte <= 0xE9 or 0xF0 <= byte <= 0xF9 for byte in body)
    if (blanks_of_ebcdic > blanks and 2 * letters > len(body) - blanks_of_ebcdic) or b"\0" in body:
        raise ValueError(
            "the sample is no text that can be seen: name its code page, such as --encoding cp1141 for EBCDIC, and its "
            "fields where it has numbers in bytes, such as --field amount=13-18:packed:2"
        )
    try:
        body.decode("cp1252")
    except UnicodeDecodeError:
        return "iso8859-1", ["no UTF-8, and taken for ISO 8859-1: write another encoding where letters come out wrong"]
    return "cp1252", [
        "no UTF-8, and taken for Windows' cp1252: where letters come out wrong, write iso8859-15, cp850 or another"
    ]


def _text(body: bytes, encoding: str | None) -> str:
    try:
        return text_of(body, None, encoding)
    except EventError as error:
        raise ValueError(error.detail) from None


def _bytewise(line: str, encoding: str | None) -> str:
    """With a character for each byte, as fixed columns are counted."""
    return line.encode().decode("latin-1") if encoding is None else line


def _read(body: bytes, decode: Mapping[str, Any], notes: Sequence[str]) -> Sample:
    """Raises: ValueError: a record cannot be read."""
    fields = {name: _field_of(each) for name, each in decode.get("fields", {}).items()}
    settings = DecodeSettings(**{**decode, "fields": fields})
    content_type = "application/cloudevents+json" if settings.format == "cloudevents" else None
    message = Message(source="sample", body=body, content_type=content_type)
    read = decoder_for(settings)
    split = split_of(settings)
    number = 0
    try:
        records = [message] if split is None else split(message)
        decoded = [read(record) for number, record in enumerate(records, start=1)]
    except EventError as error:
        raise ValueError(f"record {number}: {error.detail}" if number else error.detail) from error
    if not decoded:
        raise ValueError("the sample has no record")
    first = body if settings.format == "fixed_width" and settings.length is None and split is None else records[0].body
    return Sample(
        format=settings.format, decode=decode, data=decoded[0].data, type=decoded[0].type or "", body=first, notes=notes
    )


def _field_of(given: str | Mapping[str, Any]) -> FieldSettings:
    """A field as the section `decode` has it: its bytes, or bytes, type and scale."""
    whole: dict[str, Any] = {"at": given} if isinstance(given, str) else dict(given)
    first, _, last = whole.pop("at").partition("-")
    return FieldSettings(first=int(first), last=int(last or first), **whole)


def format_of(body: bytes) -> str:
    """`json`, `cloudevents`, `xml` or `text`. Raises: ValueError: it is none of them."""
    start = body.lstrip(_BEFORE)
    if not start:
        raise ValueError("the sample is empty")
    if (id := schema_id(body)) is not None:
        raise ValueError(
            f"the sample names schema {id} of a registry: give its data as JSON, and write decode: {{ format: avro, "
            "registry: { url: ... } } into what comes of it"
        )
    if start[:1] in (b"{", b"["):
        try:
            content = orjson.loads(start)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the sample begins as JSON does, and is none: {error}") from error
        if isinstance(content, list):
            raise ValueError("the sample is a list: an event is one object; take one of them")
        return "cloudevents" if {"specversion", "type", "source", "id"} <= content.keys() else "json"
    if start[:1] == b"<":
        return "xml"
    return "text"


def pattern_of(text: str) -> str:
    """A pattern that matches all of a text: a named group for each word with a digit and each quoted value of it, and
    one for its last word. Runs of white space may be of any length, as columns have them. It is read as the daemon reads
    it, by `regex`, whose words and blanks are not quite those of `re`.
    """
    text = text.strip()
    pieces: list[str] = []
    end = 0
    names: dict[str, int] = {}
    for match in _VALUE.finditer(text):
        pieces.append(_fixed(text[end : match.start()]))
        quote = match[0][0] if match[0][0] in "'\"" else ""
        inner = match[1] or match[2] or match[3]
        kind = r"\d+" if regex.fullmatch(r"\d+", inner) else (f"[^{quote}]+" if quote else r"[\w.:-]+")
        pieces.append(f"{quote}(?P<{_group(text[: match.start()], names)}>{kind}){quote}")
        end = match.end()
    rest = text[end:]
    if last := regex.search(r"(\w+)(\W*)$", rest):
        pieces.append(f"{_fixed(rest[: last.start()])}(?P<{_group('what', names)}>.+?){_fixed(last[2])}")
    else:
        pieces.append(_fixed(rest))
    return "".join(pieces)


def _fixed(text: str) -> str:
    """Text that stays; a single blank is left as it is, for the reader's sake."""
    blanks_and_words: list[str] = regex.split(r"(\s+)", text)
    return "".join(
        part if part == " " else r"\s+" if regex.fullmatch(r"\s+", part) else re.escape(part)
        for part in blanks_and_words
    )


def _group(before: str, names: dict[str, int]) -> str:
    """A name for a value by the word before it: of `Employee Id '1'` it is `id`."""
    words = re.findall(r"[A-Za-z]+", before)
    name = words[-1].lower() if words else "value"
    names[name] = names.get(name, 0) + 1
    return name if names[name] == 1 else f"{name}{names[name]}"
