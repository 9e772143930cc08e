"""`decode.split`: one body of many records as one message a record, each with bytes that its format reads by itself."""

import codecs
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bridge.decode.base import DecodeSettings
from bridge.decode.charset import is_ebcdic, python_charset, said_charset
from bridge.decode.csv import separator_in
from bridge.decode.json import read_json
from bridge.decode.wrapping import may_be_wrapped, unwrapped
from bridge.errors import EventError, Reason
from connectors.base import Message
from hub.exact_json import dumps

MAX_RECORDS: Final = 10_000
"""Records of one body: they are accepted in one transaction."""

LINES: Final = "lines"
RECORDS: Final = "records"
ROOT: Final = "data"
"""Where a path to an array begins; alone it is the whole body."""

_MOST_GROWTH: Final = 16
"""How many times `max_body` the records may have together: each of CSV has the line with the names of columns too."""

Split = Callable[[Message], Sequence[Message]]
"""The records of a message, in order, none for a body without any. Raises: EventError: it cannot be taken apart."""


def split_of(settings: DecodeSettings) -> Split | None:
    """How a source's bodies are taken apart; None where each is one event.

    A record has the id and the position of its message with `/` and its number behind them, counted from 1, which is also
    its property `record`. Its body is as its source's format reads it: compression is undone, a record of CSV has the line
    with the names of columns before it, and an element of a JSON array is written again. Empty lines are no records.
    Only what is needed to find the records is read: one that is broken costs itself alone.
    """
    if settings.split is None:
        return None
    cut = _cutter(settings)
    most = _MOST_GROWTH * settings.max_body

    def split(message: Message) -> Sequence[Message]:
        if len(message.body) > settings.max_body:
            raise EventError(
                Reason.TOO_LARGE, f"the body has {len(message.body)} bytes, the limit is {settings.max_body}"
            )
        whole = _unpacked(message, settings.max_body)
        bodies: list[bytes] = []
        size = 0
        for body in cut(whole):
            size += len(body)
            if len(bodies) == MAX_RECORDS:
                raise EventError(Reason.TOO_LARGE, f"the body has more than {MAX_RECORDS} records")
            if size > most:
                raise EventError(Reason.TOO_LARGE, f"the records have more than {most} bytes together")
            bodies.append(body)
        return [_record(whole, body, number) for number, body in enumerate(bodies, start=1)]

    return split


def _unpacked(message: Message, limit: int) -> Message:
    """The message without what wraps its body, and without a word of that. Raises: EventError."""
    if not may_be_wrapped(message):
        return message
    message = unwrapped(message, limit=limit)
    return replace(
        message,
        headers={name: value for name, value in message.headers.items() if name.lower() != "content-encoding"},
        properties={name: value for name, value in message.properties.items() if name != "content_encoding"},
    )


def _record(message: Message, body: bytes, number: int) -> Message:
    id = None if message.id is None else f"{message.id}/{number}"
    properties: dict[str, Any] = {**message.properties, "record": number}
    if "message_id" in properties:
        properties["message_id"] = f"{properties['message_id']}/{number}"
    return replace(
        message,
        body=body,
        id=id,
        position=None if message.position is None else f"{message.position}/{number}",
        properties=properties,
        is_alone=False,
    )


def _cutter(settings: DecodeSettings) -> Callable[[Message], Iterator[bytes]]:
    split = settings.split
    if split == LINES:
        return _Csv(settings) if settings.format == "csv" else _Lines(settings)
    if split == RECORDS:
        assert settings.length is not None
        return _Chunks(settings.length)
    assert split is not None
    return _Elements(tuple(split.split(".")[1:]), settings.encoding)


class _Elements:
    """The elements of an array in a JSON body."""

    def __init__(self, path: Sequence[str], encoding: str | None) -> None:
        self._path = path
        self._encoding = encoding

    def __call__(self, message: Message) -> Iterator[bytes]:
        value = read_json(message.body, message.content_type, self._encoding)
        place = ROOT
        for key in self._path:
            if not isinstance(value, Mapping) or key not in value:
                raise EventError(Reason.DECODE, f"decode.split: {place} has no {key}")
            value, place = value[key], f"{place}.{key}"
        if not isinstance(value, list):
            raise EventError(Reason.DECODE, f"decode.split: {place} is no array")
        for element in value:
            yield dumps(element, wide=True)


class _Chunks:
    """Records of a fixed number of bytes; the last one may be cut off, and is refused as it is decoded."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __call__(self, message: Message) -> Iterator[bytes]:
        for at in range(0, len(message.body), self._length):
            yield message.body[at : at + self._length]


class _Lines:
    """Lines that are not blank."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._encoding = settings.encoding

    def __call__(self, message: Message) -> Iterator[bytes]:
        text = _Text(message, self._encoding)
        return (text.mark + line for line in text.lines() if line.strip(text.blanks))


class _Csv:
    """Records of CSV, which may have line ends within quotes."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._encoding = settings.encoding
        self._delimiter = settings.delimiter
        self._has_names = settings.has_names

    def __call__(self, message: Message) -> Iterator[bytes]:
        text = _Text(message, self._encoding)
        lines = text.lines()
        head = b""
        separator = separator_in(lines[0].decode(text.charset, "replace")) if lines else None
        if separator is not None:
            head, lines[0] = lines[0] + text.line_end, b""
        decoded = (f"{line.decode(text.charset, 'replace')}\n" for line in lines)
        reader = csv.reader(decoded, delimiter=separator or self._delimiter)
        names: bytes | None = None if self._has_names else head
        at = 0
        try:
            for row in reader:
                record, at = text.line_end.join(lines[at : reader.line_num]), reader.line_num
                if not any(field.strip() for field in row):
                    continue
                if names is None:
                    names = head + record + text.line_end
                else:
                    yield text.mark + names + record
        except csv.Error as error:
            raise EventError(Reason.DECODE, f"not CSV: {error} at line {reader.line_num}") from None


class _Text:
    """The bytes of a text, as far as it takes to find its lines; `mark` goes before each record made of them.

    Lines end with LF or CR LF; in EBCDIC with NEL (0x15), LF (0x25), or either behind CR. UTF-16 and UTF-32 become UTF-8,
    with a byte order mark that says so.

    Raises: EventError: no UTF-16 or UTF-32, though it says so.
    """

    def __init__(self, message: Message, encoding: str | None) -> None:
        self._body = message.body
        charset = said_charset(message.body, message.content_type, encoding)
        self.mark = b""
        if charset.startswith(("utf-16", "utf-32")):
            self._body = _recoded(self._body, charset)
            charset = "utf-8-sig"
        if charset == "utf-8-sig":
            self.mark, charset = codecs.BOM_UTF8, "utf-8"
            self._body = self._body.removeprefix(codecs.BOM_UTF8)
        self.charset = python_charset(charset)
        is_mainframe = is_ebcdic(charset)
        self.line_end, self.blanks = (_NEL, b"\x40") if is_mainframe else (b"\n", b" \t")

    def lines(self) -> list[bytes]:
        """All lines without their ends; blank ones too."""
        body = self._body.replace(b"\x25", _NEL) if self.line_end == _NEL else self._body
        lines = body.split(self.line_end)
        if lines[-1].strip(self.blanks + _END_OF_FILE) == b"":
            lines.pop()
        return [line.removesuffix(b"\r") for line in lines]


def _recoded(body: bytes, charset: str) -> bytes:
    try:
        return body.decode(charset).removeprefix("\ufeff").encode()
    except UnicodeError:  # half a character, or half of a surrogate pair
        raise EventError(Reason.DECODE, f"not {charset}, though it looks so") from None


_NEL: Final = b"\x15"
_END_OF_FILE: Final = b"\x1a"
"""What DOS wrote behind the last line."""
