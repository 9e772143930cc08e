"""Text with values in it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import ExpressionError, RenderError
from rules.render import MAX_TEXT, compile_text
from rules.text import text_of
from tests.rules.support import event

EVENT = event({"name": "Anna", "amount": 12.5, "none": None, "long": "x" * 40_000, "braces": "{{ data.name }}"})


@pytest.mark.parametrize(
    "text, filled",
    [
        ("", ""),
        ("plain", "plain"),
        ("Hello {{ data.name }}!", "Hello Anna!"),
        ("{{data.name}}{{ data.amount }}", "Anna12.5"),
        ("{{ data.name | upper }} {{ data.nope | default('?') }}", "ANNA ?"),
        ("{{ '}}' }}", "}}"),
        ('{"a": {"b": "{{ data.name }}"}}', '{"a": {"b": "Anna"}}'),
        ("line\n{{ data.name }}\n", "line\nAnna\n"),
        ("$(name) {name} % 5", "$(name) {name} % 5"),
        ("{{ data.braces }}", "{{ data.name }}"),
    ],
)
def test_a_text_is_filled(text: str, filled: str) -> None:
    assert compile_text(text).render(EVENT) == filled


@pytest.mark.parametrize(
    "text, message",
    [
        ("Hello {{ data.nope }}", "data.nope is missing"),
        ("Hello {{ data.none }}", "data.none is null"),
        ("{{ data.long }}{{ data.long }}", f"a text of 80000 characters is too long, {MAX_TEXT} are allowed"),
    ],
)
def test_a_text_that_cannot_be_filled_names_the_variable(text: str, message: str) -> None:
    with pytest.raises(RenderError) as failure:
        compile_text(text).render(EVENT)
    assert str(failure.value) == message


@pytest.mark.parametrize(
    "text, message, column",
    [
        ("ab {{ data.x", "this {{ is never closed", 4),
        ("ab {{ dta.x }}", "there is no name 'dta'", 6),
        ("{% for a in b %}", "{% is not part of the language", 1),
        ("a {# b #}", "{# is not part of the language", 3),
        ("{{ }}", "the expression is empty", 3),
        ("a {{ ' }}", 'unexpected char "\'"', 6),
    ],
)
def test_a_text_that_cannot_be_compiled_has_a_column(text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionError) as refusal:
        compile_text(text)
    assert str(refusal.value) == message
    assert refusal.value.column == column


@pytest.mark.parametrize(
    "value, text",
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (2.50, "2.5"),
        (Decimal("2.50"), "2.50"),
        (Decimal("1E+3"), "1000"),
        ([1, "a", None, True], '[1,"a",null,true]'),
        ({"a": Decimal("0.5"), "b": Decimal("0.1")}, '{"a":0.5,"b":0.1}'),
    ],
)
def test_a_value_is_spelled_as_json_would(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    "value", [None, Decimal("1E+999999"), Decimal("NaN"), float("nan"), float("inf"), [2**70], ["\ud800"]]
)
def test_what_has_no_text_is_refused(value: Any) -> None:
    with pytest.raises(RenderError):
        text_of(value)


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text(alphabet="{}%# ab.'|data\n", max_size=60))
def test_any_text_compiles_or_is_refused_with_a_column_in_it(text: str) -> None:
    column = 1
    try:
        compile_text(text).render(EVENT)
    except ExpressionError as refusal:
        column = refusal.column
    except RenderError:
        pass
    assert 1 <= column <= len(text) + 1
