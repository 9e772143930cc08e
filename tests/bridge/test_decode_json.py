import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.base import MAX_DEPTH
from bridge.decode.json import read_json
from bridge.errors import EventError, Reason

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.text(),
    max_leaves=20,
)


@given(values)
def test_what_json_wrote_is_read_back(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body, complaint",
    [
        (b"", "not JSON: .* line 1 column 1"),
        (b'{"a": 1,\n "b" 2}', "not JSON: .* line 2 column 6"),
        (b'{"a": NaN}', "not JSON"),
        (b"Infinity", "not JSON"),
        (b"1e400", "not JSON: .*infinity"),
        (b"1" * 400, "not JSON: .*infinity"),
        (b'"\\ud800"', "not JSON: .*surrogate"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'{"a": "\xff"}', "decode.encoding names it"),
        (b"\x80\x04\x95", "begins like a Python pickle"),
        (b"\xff\xfe{", "not UTF-8 at byte 0"),
        (b"[" * 5000, "not JSON: .*(depth limit|recursion depth)"),
    ],
)
def test_a_broken_text_is_refused_with_the_place(body: bytes, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        read_json(body)
    assert raised.value.reason is Reason.DECODE


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("behind", [b"\0", b"\n\0\0"])
def test_zero_bytes_behind_a_text_are_passed_over(behind: bytes) -> None:
    assert read_json(b'{"a": 1}' + behind) == {"a": 1}
    assert read_json('{"a": "ü"}'.encode("latin-1") + behind, "application/json; charset=latin-1") == {"a": "ü"}
    with pytest.raises(EventError, match="not JSON"):
        read_json(behind)


def test_of_repeated_names_the_last_one_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**29 + 1, -(10**300)])
def test_integers_are_exact_however_long_they_are(number: int) -> None:
    value = read_json(b'\xef\xbb\xbf{"id": %d, "text": "%d", "small": -7}' % (number, number))
    assert value == {"id": number, "text": str(number), "small": -7}
    assert type(value["id"]) is int


@pytest.mark.parametrize(
    "text, number",
    [
        ("19.95", 19.95),
        ("0.30000000000000004", 0.30000000000000004),
        ("-1.7976931348623157e308", -1.7976931348623157e308),
        ("5e-324", 5e-324),
        ("9007199254740993.5", Decimal("9007199254740993.5")),
        ("-9007199254740993.25", Decimal("-9007199254740993.25")),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("12345678901234567890.1", Decimal("12345678901234567890.1")),
        ("1234567890123456789e3", Decimal("1234567890123456789e3")),
        ("12345678901234567E-3", Decimal("12345678901234.567")),
        ("1234567890123456789", 1234567890123456789),
        ("100000000000000000000000.0", 1e23),
    ],
)
def test_fractions_are_exact_however_long_they_are(text: str, number: float | Decimal) -> None:
    (value,) = read_json(f"[{text}]".encode())
    assert (value, type(value)) == (number, type(number))
    assert read_json(f'{{"text": "{text}", "n": {text}}}'.encode()) == {"text": text, "n": number}


def test_a_text_of_digits_is_read_in_one_pass() -> None:
    """Looking for long numbers takes a time that grows with the body, not with its square."""
    digits = b"1" * 2_000_000
    assert read_json(b'["' + digits + b'", "' + b"1." * 1_000_000 + b'"]')[0] == digits.decode()


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting_is_bounded(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    read_json(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)
    with pytest.raises(EventError, match="deeper than 64 levels"):
        read_json(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(read_json(b"[" + b"[]," * 1000 + b"[]]")) == 1001
