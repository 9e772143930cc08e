"""JSON and texts keep the digits of numbers; the oracle is exact fractions."""

import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.wire.content import template_content
from hub.exact_json import dumps, loads, plain

WRITTEN = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
NUMBERS = (
    st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40)
)


@given(text=WRITTEN)
def test_a_number_is_read_as_it_is_written_and_written_in_plain_decimals(text: str) -> None:
    (value,) = loads(f'["x",{text}]'.encode())[1:]
    if value or Fraction(text):  # a zero may have any exponent
        assert Fraction(str(value)) == Fraction(text)
    (property_,) = template_content(f'{{"p":{text}}}'.encode()).properties.values()
    (listed,) = template_content(f'{{"p":[{text}]}}'.encode()).properties.values()
    assert listed == f"[{property_}]"
    assert Fraction(property_) == Fraction(text)
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", property_)


@given(number=NUMBERS)
def test_a_number_of_any_type_is_written_in_plain_decimals(number: Any) -> None:
    text = plain(number)
    assert Fraction(text) == Fraction(str(number))
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text)
    assert dumps({"a": [number]}, wide=True) == f'{{"a":[{text}]}}'.encode()
    assert Fraction(json.loads(text, parse_float=str)) == Fraction(str(number))


@pytest.mark.parametrize(
    "number, problem",
    [
        (float("nan"), "not a finite number"),
        (float("-inf"), "not a finite number"),
        (Decimal("sNaN"), "not a finite number"),
        (Decimal("Infinity"), "not a finite number"),
        (Decimal("1E+999999999"), "too large"),
        (Decimal("-1E-999999999"), "too large"),
        (1 << 20_000, "too large"),
    ],
    ids=["nan", "-inf", "sNaN", "Infinity", "large", "small", "integer"],
)
def test_what_has_no_plain_text_is_refused(number: Any, problem: str) -> None:
    for write in (plain, lambda value: dumps([value], wide=True)):
        with pytest.raises((ValueError, orjson.JSONEncodeError), match=problem):
            write(number)
