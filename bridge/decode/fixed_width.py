"""Fixed-width records, as mainframes write them: text in a code page, and packed, zoned and binary numbers."""

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any, Final, cast

from bridge.counts import how_many
from bridge.decode.base import DecodeSettings, FieldSettings, ValueType
from bridge.decode.charset import is_ebcdic, python_charset, said_charset, text_of
from bridge.decode.types import TypedText
from bridge.errors import EventError, Reason

NUMBERS_IN_BYTES: Final = frozenset(["packed", "binary"])
"""Types whose bytes are no characters: any of them may be that of a line end."""

_EMPTY_BYTES: Final = frozenset([b"\x00", b"\x20", b"\x40"])
_PLUS: Final = frozenset([0xA, 0xC, 0xE, 0xF])
_MINUS: Final = frozenset([0xB, 0xD])
_OVERPUNCHED: Final[Mapping[str, str]] = {
    **dict(zip("{ABCDEFGHI", ("+0", "+1", "+2", "+3", "+4", "+5", "+6", "+7", "+8", "+9"), strict=True)),
    **dict(zip("}JKLMNOPQR", ("-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"), strict=True)),
    **dict(zip("pqrstuvwxy", ("-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"), strict=True)),
}
"""The last digit and the sign of a zoned number in ASCII, of those that were translated from EBCDIC and of Micro Focus."""

_SIGNED: Final = re.compile(r"([+-]?)([0-9]+)|([0-9]+)([+-])", re.ASCII)


class FixedWidthReader:
    """Reads a record into its fields, each from its first byte to its last.

    A field is text without white space and NUL around it, or a number. `packed` has two digits a byte and the sign in the
    last half (COMP-3), `zoned` a digit a byte and the sign in the last one or beside (DISPLAY), `binary` is two's
    complement from the highest byte on (COMP). `scale` digits of a number are behind the point. Other types are those of
    texts. A number or typed text that was never filled, with blanks or zero bytes alone, is null.

    A record has `length` bytes, if that is set, and no line end. Else a line end behind it is dropped, and a line may end
    before its last fields, as editors cut blanks off: these are empty.
    """

    def __init__(
        self,
        *,
        fields: Mapping[str, FieldSettings],
        length: int | None = None,
        encoding: str | None = None,
        timezone: tzinfo = UTC,
    ) -> None:
        self._fields = fields
        self._length = length
        self._encoding = encoding
        self._has_bytes = any(field.type in NUMBERS_IN_BYTES for field in fields.values())
        self._typed = {
            name: TypedText(cast(ValueType, field.type), timezone)
            for name, field in fields.items()
            if field.type not in (*NUMBERS_IN_BYTES, "zoned", "text")
        }

    def __call__(self, body: bytes, content_type: str | None = None) -> dict[str, Any]:
        """Raises: EventError."""
        # Where bytes are numbers, nothing in them says what characters are written in.
        charset = self._encoding or "utf-8" if self._has_bytes else said_charset(body, content_type, self._encoding)
        if charset.startswith(("utf-16", "utf-32")):
            raise _refused(f"a fixed-width record in {charset}, whose characters have more than a byte")
        record = self._record(body, charset)
        return {name: self._value(name, field, record, charset) for name, field in self._fields.items()}

    def _record(self, body: bytes, charset: str) -> bytes:
        if self._length is not None:
            if len(body) != self._length:
                several = len(body) % self._length == 0 and len(body) > self._length
                hint = "; decode.split: records makes an event of each" if several else ""
                raise _refused(f"a record of {how_many(len(body), 'byte')}, decode.length is {self._length}{hint}")
            return body
        if self._has_bytes:
            return body
        ends = b"\x15\x25\x0d" if is_ebcdic(charset) else b"\r\n"
        record = body.rstrip(ends)
        if any(end in record for end in (ends[:2] if is_ebcdic(charset) else b"\n")):
            raise _refused(
                "a body of several lines where one record was expected; decode.split: lines makes an event of each"
            )
        return record.removeprefix(b"\xef\xbb\xbf") if charset == "utf-8-sig" else record

    def _value(self, name: str, field: FieldSettings, record: bytes, charset: str) -> Any:
        piece = record[field.first - 1 : field.last]
        if field.type in NUMBERS_IN_BYTES or field.type == "zoned":
            if any(piece.strip(empty) == b"" for empty in _EMPTY_BYTES):
                if len(piece) == field.last - field.first + 1 or field.type == "zoned":
                    # Zero bytes are a number that is binary, and one that was never filled in any other form.
                    return 0 if field.type == "binary" and piece.strip(b"\0") == b"" else None
            elif len(piece) == field.last - field.first + 1:
                return self._number(name, field, piece, charset)
            raise _refused(f"the record ends before {name}: {how_many(len(record), 'byte')}, {field.last} are needed")
        text = _characters(name, piece, "utf-8" if charset == "utf-8-sig" else charset).strip().strip("\0").strip()
        typed = self._typed.get(name)
        return text if typed is None else _scaled(typed(name, text), field.scale)

    def _number(self, name: str, field: FieldSettings, piece: bytes, charset: str) -> Any:
        if field.type == "binary":
            return _scaled(int.from_bytes(piece, "big", signed=True), field.scale)
        number = _packed(piece) if field.type == "packed" else _zoned(piece, charset)
        if number is None:
            raise _refused(f"{name} is no {field.type} number")
        return _scaled(number, field.scale)


def _packed(piece: bytes) -> int | None:
    """Two digits a byte, the sign in the last half; None for what is none (z/Architecture, "Decimal Instructions")."""
    digits, sign = piece.hex()[:-1], piece[-1] & 0xF
    if not digits.isdecimal() or sign not in _PLUS | _MINUS:
        return None
    return -int(digits) if sign in _MINUS else int(digits)


def _zoned(piece: bytes, charset: str) -> int | None:
    """A digit a byte, and the sign in the zone of the last one, or as a character before or behind; None for none."""
    if is_ebcdic(charset):
        zone = piece[-1] >> 4
        if 0xA <= zone <= 0xF and piece[-1] & 0xF <= 9 and all(0xF0 <= byte <= 0xF9 for byte in piece[:-1]):
            number = int("".join(str(byte & 0xF) for byte in piece))
            return -number if zone in _MINUS else number
    try:
        text = piece.decode(python_charset(charset)).strip()
    except UnicodeDecodeError:
        return None
    if text and (last := _OVERPUNCHED.get(text[-1])) is not None and not is_ebcdic(charset):
        text = f"{last[0]}{text[:-1]}{last[1]}"
    signed = _SIGNED.fullmatch(text)
    if signed is None:
        return None
    number = int(signed[2] or signed[3])
    return -number if "-" in (signed[1], signed[4]) else number


def _characters(name: str, piece: bytes, charset: str) -> str:
    try:
        return text_of(piece, None, charset) if charset in ("cp1141", "cp1148") else piece.decode(charset)
    except UnicodeDecodeError as error:
        raise _refused(f"{name} is not {charset} at byte {error.start + 1} of the field") from None


def _scaled(value: Any, scale: int) -> Any:
    """With so many digits behind the point; exactly, whatever the precision of a context."""
    if not scale or not isinstance(value, int | Decimal):
        return value
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int)  # finite
    return Decimal((sign, digits, exponent - scale))


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)


def reader(settings: DecodeSettings) -> FixedWidthReader:
    """For `decode.format: fixed_width`."""
    return FixedWidthReader(
        fields=settings.fields,
        length=settings.length,
        encoding=settings.encoding,
        timezone=settings.timezone,
    )
