"""Fixed-width records in code pages, with the numbers of mainframes."""

import contextlib
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.base import FieldSettings
from bridge.decode.fixed_width import FixedWidthReader
from bridge.errors import EventError, Reason


def field(first: int, last: int, type: Any = "text", scale: int = 0) -> FieldSettings:
    return FieldSettings(first=first, last=last, type=type, scale=scale)


def value(piece: bytes, type: Any, *, scale: int = 0, encoding: str | None = "cp037") -> Any:
    return FixedWidthReader(fields={"f": field(1, len(piece), type, scale)}, encoding=encoding)(piece)["f"]


@pytest.mark.parametrize(
    "charset, text",
    [("cp037", "Zürich {x}"), ("cp500", "Zürich [x]"), ("cp1141", "5 € für ä"), ("latin-1", "Zürich"), ("utf-8", "ab")],
)
def test_text_is_in_the_code_page(charset: str, text: str) -> None:
    body = text.replace("€", "\xa4").encode("cp273") if charset == "cp1141" else text.encode(charset)
    reader = FixedWidthReader(fields={"t": field(1, len(body) + 5), "late": field(90, 99)}, encoding=charset)
    assert reader(body) == {"t": text, "late": ""}


@pytest.mark.parametrize(
    "hexadecimal, scale, number",
    [
        ("12345c", 0, 12345),
        ("12345d", 2, Decimal("-123.45")),
        ("0f", 0, 0),
        ("00000c", 2, Decimal("0.00")),
        ("9b", 0, -9),
        ("999999999999999999999999999999999999999c", 3, Decimal("999999999999999999999999999999999999.999")),
        ("404040", 2, None),
        ("000000", 2, None),
    ],
)
def test_packed_numbers_are_exact(hexadecimal: str, scale: int, number: Any) -> None:
    assert value(bytes.fromhex(hexadecimal), "packed", scale=scale) == number


@pytest.mark.parametrize(
    "piece, encoding, number",
    [
        (bytes.fromhex("f1f2f3"), "cp037", 123),
        (bytes.fromhex("f1f2c3"), "cp037", 123),
        (bytes.fromhex("f1f2d3"), "cp037", -123),
        ("-123".encode("cp037"), "cp037", -123),
        ("123-".encode("cp500"), "cp500", -123),
        ("  12".encode("cp500"), "cp500", 12),
        (b"00123", None, 123),
        (b"0012C", None, 123),
        (b"0012L", None, -123),
        (b"12}", None, -120),
        (b"12{", None, 120),
        (b"12s", None, -123),
        (b"+7", "latin-1", 7),
        (b"   ", None, None),
        (b"\0\0", None, None),
    ],
)
def test_zoned_numbers_are_read_in_both_alphabets(piece: bytes, encoding: str | None, number: Any) -> None:
    assert value(piece, "zoned", encoding=encoding) == number


@pytest.mark.parametrize(
    "hexadecimal, number", [("0102", 258), ("ffff", -1), ("8000000000000000", -(2**63)), ("0000", 0), ("4040", None)]
)
def test_binary_numbers_begin_with_their_highest_byte(hexadecimal: str, number: Any) -> None:
    assert value(bytes.fromhex(hexadecimal), "binary") == number


@pytest.mark.parametrize(
    "type, text, read",
    [("decimal", "0001995", Decimal("19.95")), ("int", "1995", Decimal("19.95")), ("decimal", "  ", None)],
)
def test_a_point_that_is_not_written_may_be_in_a_text(type: str, text: str, read: Any) -> None:
    assert value(text.encode("cp037"), type, scale=2) == read


def test_a_date_is_one() -> None:
    assert value(b"20260302", "date", encoding=None) == "2026-03-02"


@pytest.mark.parametrize(
    "piece, type, complaint",
    [
        (bytes.fromhex("1a345c"), "packed", "f is no packed number"),
        (bytes.fromhex("123456"), "packed", "f is no packed number"),
        ("12x4".encode("cp037"), "zoned", "f is no zoned number"),
        ("12.4".encode("cp037"), "zoned", "f is no zoned number"),
        ("1-2".encode("cp037"), "zoned", "f is no zoned number"),
        ("abc".encode("cp037"), "int", "f is not of the type int"),
    ],
)
def test_what_is_no_number_is_refused_by_name_and_not_shown(piece: bytes, type: str, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        value(piece, type)
    assert raised.value.reason is Reason.DECODE


@pytest.mark.parametrize(
    "body, settings, complaint",
    [
        (b"ab", {"length": 3}, "a record of 2 bytes, decode.length is 3"),
        (b"abcdef", {"length": 3}, "6 bytes, decode.length is 3; decode.split: records"),
        (b"ab\ncd\n", {}, "several lines where one record was expected; decode.split: lines"),
        (b"a\xff", {}, "t is not utf-8 at byte 2 of the field"),
        ("ab".encode("utf-16"), {}, "whose characters have more than a byte"),
    ],
)
def test_what_is_no_record_is_refused_in_words(body: bytes, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(EventError, match=complaint):
        FixedWidthReader(fields={"t": field(1, 2)}, **settings)(body)


def test_a_record_that_ends_in_a_number_is_refused() -> None:
    with pytest.raises(EventError, match="the record ends before f: 2 bytes, 4 are needed"):
        FixedWidthReader(fields={"f": field(1, 4, "packed")}, encoding="cp037")(b"\x01\x2c")


@given(st.integers(min_value=-(10**39) + 1, max_value=10**39 - 1), st.integers(0, 30))
def test_any_packed_number_comes_back(number: int, scale: int) -> None:
    packed = bytes.fromhex(str(abs(number)).rjust(39, "0") + ("d" if number < 0 else "c"))
    assert Fraction(value(packed, "packed", scale=scale)) * 10**scale == number


_TYPES = st.sampled_from(
    ["text", "packed", "zoned", "binary", "decimal", "decimal_comma", "int", "float", "bool", "datetime", "date"]
)


@given(
    st.binary(max_size=30),
    _TYPES,
    st.sampled_from([None, "cp037", "cp1141", "latin-1", "utf-8-sig"]),
    st.integers(0, 3),
)
def test_any_bytes_are_read_or_refused_in_our_words(body: bytes, type: str, encoding: str | None, scale: int) -> None:
    fields = {"a": field(1, 4, type, scale), "b": field(3, 9)}
    with contextlib.suppress(EventError):
        FixedWidthReader(fields=fields, encoding=encoding)(body)
