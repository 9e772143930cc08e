import json
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
        (b"[" * 5000, "not JSON: depth limit"),
    ],
)
def test_a_broken_text_is_refused_with_the_place(body: bytes, complaint: str) -> None:
    with pytest.raises(EventError, match=complaint) as raised:
        read_json(body)
    assert raised.value.reason is Reason.DECODE


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_of_repeated_names_the_last_one_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**29 + 1, -(10**300)])
def test_integers_are_exact_however_long_they_are(number: int) -> None:
    value = read_json(b'\xef\xbb\xbf{"id": %d, "text": "%d", "small": -7}' % (number, number))
    assert value == {"id": number, "text": str(number), "small": -7}
    assert type(value["id"]) is int


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_nesting_is_bounded(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    read_json(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)
    with pytest.raises(EventError, match="deeper than 64 levels"):
        read_json(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(read_json(b"[" + b"[]," * 1000 + b"[]]")) == 1001
