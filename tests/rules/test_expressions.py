"""The language of `when` and `{{ }}`: what it gives, what it refuses, and that it cannot leave its sandbox."""

import gc
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from bridge.decode.mapping import MAP_NAMES
from rules import grammar
from rules.errors import ExpressionError, RenderError, RuleError
from rules.expressions import compile_expression
from tests.rules.support import event

EVENT = event(
    {
        "text": "Hello",
        "n": 5,
        "price": Decimal("0.5"),
        "items": ["a", "b"],
        "keys": "a field named like a method",
        "nested": {"deep": {"value": "x"}},
        "nothing": None,
        "yes": True,
        "huge": Decimal("1E+999999"),
        "path": "/a/b/report.pdf/",
    },
    meta={"message_id": "m-1"},
)


@pytest.mark.parametrize(
    "text, value",
    [
        ("data.nested.deep.value", "x"),
        ("data['nested'].deep['value']", "x"),
        ("data.items[1]", "b"),
        ("data.items[-1]", "b"),
        ("data.text[1:3]", "el"),
        ("data.keys", "a field named like a method"),
        ("data.items", ["a", "b"]),
        ("data.nothing", None),
        ("type", "debit"),
        ("time", "2026-03-02T12:00:00Z"),
        ("meta.message_id", "m-1"),
        ("data.n > 4 and data.text == 'Hello'", True),
        ("data.n in [4, 5]", True),
        ("'a' in data.items", True),
        ("not data.yes", False),
        ("data.n + 1", 6),
        ("data.n // 2", 2),
        ("data.price * 1.5", Decimal("0.75")),
        ("data.price >= 0.5", True),
        ("'many' if data.n > 1 else 'one'", "many"),
        ("data.missing is defined", False),
        ("data.nothing is none", True),
        ("data.missing | default(7)", 7),
        ("data.missing.further | default('x')", "x"),
        ("data.nothing | default('x')", "x"),
        ("data.missing | default(data.n)", 5),
        ("data.n >= data.missing | default(3)", True),
        ("data.text | upper", "HELLO"),
        ("data.text | lower", "hello"),
        ("data.yes | upper", "TRUE"),
        ("data.text | truncate(3)", "He…"),
        ("data.text | truncate(5)", "Hello"),
        ("data.text | mask(2)", "••••lo"),
        ("data.text | mask(9)", "••••"),
        ("data.text | mask(0)", "••••"),
        ("'2024-01-15T10:11:12.9+01:00' | epoch", 1705309872),
        ("1705309872000 | epoch", 1705309872),
        ("data.text | replace('l', 'L')", "HeLLo"),
        ("data.path | basename", "report.pdf"),
        ("'a b/ü' | urlencode", "a%20b/%C3%BC"),
        ("data.items | join('-')", "a-b"),
        ("data.items | first", "a"),
        ("data.items | last", "b"),
        ("data.items | length", 2),
        ("' 12.50 ' | number", Decimal("12.50")),
        ("'12.9' | int", 12),
        ("2.345 | round(1)", Decimal("2.3")),
        ("data.text | default('x') | upper | lower", "hello"),
    ],
)
def test_an_expression_gives(text: str, value: Any) -> None:
    assert compile_expression(text).evaluate(EVENT) == value


@pytest.mark.parametrize(
    "text, message",
    [
        ("data.missing", "data.missing is missing"),
        ("data.text.length", "data.text.length is missing"),
        ("data.items[7]", "data.items.7 is missing"),
        ("data.nested.nope | upper", "data.nested.nope is missing"),
        ("data.nope > 5", "data.nope is missing"),
        ("data.a | default(data.b)", "data.b is missing"),
        ("data.nothing | upper", "data.nothing | upper: is null"),
        ("data.text | int", "data.text | int: is not a number"),
        ("data.text | epoch", "data.text | epoch: is not a time"),
        ("data.huge | int", "data.huge | int: is a number too large to write out"),
        ("data.text > 5", "data.text > 5: does not go with values of these kinds"),
        ("data.n / 0", "data.n / 0: a division by zero"),
        ("data.nothing | first", "data.nothing | first: is null"),
        ("data.n * 1e308 * 10", "data.n * 1e308 * 10: a number is out of range"),
        ("data.text * 1000000", "data.text * 1000000: * is for numbers"),
        ("data.text % data.n", "data.text % data.n: % is for numbers"),
    ],
)
def test_what_cannot_be_evaluated_names_the_variable_and_no_value(text: str, message: str) -> None:
    with pytest.raises(RenderError) as failure:
        compile_expression(text).evaluate(EVENT)
    assert str(failure.value) == message


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("", "the expression is empty", ""),
        ("dta.x", "there is no name 'dta'", "did you mean data?"),
        ("data.x | uper", "there is no filter 'uper'", "did you mean upper?"),
        ("data.x is defned", "there is no test 'defned'", "did you mean defined?"),
        ("{{ data.x }}", "expected token ':', got '}'", "written bare, without {{ }}"),
        ("data.x y", "expected the end, found 'y'", ""),
        ("data.x >", "unexpected 'end of template'", ""),
        ("data.x | truncate", "truncate: missing a required argument: 'length'", ""),
        ("data.x | mask(1, 2)", "mask: too many positional arguments", ""),
        ("data.x | truncate(data.n)", "the arguments of truncate are constants", ""),
        (r"data.x | default('\ud800')", "half of a surrogate pair is no character", ""),
        ("data.x()", "calls are not part of the language, filters are: {{ value | upper }}", ""),
        ("data.x ~ 'y'", "~ is not part of the language: write {{ a }}{{ b }}", ""),
        ("data.x ** 9", "** is not part of the language", ""),
        ("{'a': 1}", "objects cannot be made in an expression", ""),
        ("self", "there is no name 'self'", None),
        ("data.x | truncate('5')", "truncate: does not take these arguments: '5'", ""),
        ("data.x | truncate(2.5)", "truncate: does not take these arguments: 2.5", ""),
        ("data.x | truncate(0)", "truncate: a length of 0 leaves no room for its end, of 1", ""),
        ("data.x | truncate(len=3)", "truncate: missing a required argument: 'length'", ""),
        ("data.x | mask('a')", "mask: does not take these arguments: 'a'", ""),
        ("data.x | trim(1)", "trim: does not take these arguments: 1", ""),
        ("data.x | replace('a', none)", "replace: is null", ""),
        ("data.x | join(none)", "join: is null", ""),
        ("data.x | round(1.5)", "round: does not take these arguments: 1.5", ""),
        ("data.x[::0]", "a slice has no step of 0", ""),
        ("data.x = 1", "expected the end, found '='", "write == to compare"),
        ("data.x[1:2, 3]", "a slice stands in brackets alone", ""),
        ("range(9)", "calls are not part of the language, filters are: {{ value | upper }}", ""),
        ("(" * 500 + "1" + ")" * 500, "nested deeper than 40 levels", ""),
        ("-" * 60 + "1", "nested deeper than 40 levels", ""),
    ],
)
def test_an_expression_that_cannot_be_is_refused_as_it_loads(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as refusal:
        compile_expression(text)
    assert str(refusal.value) == message
    assert hint is None or refusal.value.hint == hint


def test_a_division_by_a_zero_of_the_event_is_named() -> None:
    with pytest.raises(RenderError, match=r"^data\.n / data\.zero: a division by zero$"):
        compile_expression("data.n / data.zero").evaluate(event({"n": 1, "zero": 0}))


@pytest.mark.parametrize(
    "text",
    [
        "data.__class__.__mro__",
        "data['__class__']",
        "data.text.format",
        "data.text.__init__.__globals__",
        "data.items.append",
        "meta.__class__",
        "''.__class__",
    ],
)
def test_no_attribute_of_python_can_be_reached(text: str) -> None:
    with pytest.raises(RenderError, match="missing"):
        compile_expression(text).evaluate(EVENT)


WORDS = ["data", "data.n", "data.text", "data.items", "data.huge", "data.nothing", "1", "0", "'a'", "type", "x"]
WORDS += ["+", "-", "*", "/", "//", "%", "==", "<", "and", "or", "not", "in", "is", "|", "(", ")", "[", "]", ",", ":"]
WORDS += ["if", "else", "default", "upper", "int", "join", "length", "defined", ".", "__class__", "{", "}", "~"]


@settings(deadline=None)  # a busy machine is no failure
@given(words=st.lists(st.sampled_from(WORDS), max_size=14))
def test_any_sequence_of_words_has_a_value_or_is_refused_in_our_own_words(words: list[str]) -> None:
    with suppress(RuleError):
        compile_expression(" ".join(words)).evaluate(EVENT)


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text(max_size=60))
def test_any_text_has_a_value_or_is_refused_in_our_own_words(text: str) -> None:
    with suppress(RuleError):
        compile_expression(text).evaluate(EVENT)


@given(text=st.text(alphabet="{}-+ a.|x\"'%#\n"))
def test_a_text_is_split_alike_by_the_short_way_and_by_jinja(text: str) -> None:
    """The short way takes plain placeholders only, and never says otherwise than the lexer whose grammar it is."""
    if grammar._PLAIN_TEXT.fullmatch(text):
        assert list(grammar.split(text)) == list(grammar._split_by_jinja(text))


@pytest.mark.parametrize(
    "text, spelled",
    [
        ("(data.a or data.b) and ('x' in data.c)", "(data.a or data.b) and 'x' in data.c"),
        ("((data.a and data.b) and data.c)", "data.a and data.b and data.c"),
        ("not (data.a is defined) or data['b c'].d[0][-1]", "data.a is not defined or data['b c'].d[0][-1]"),
        ("(1 - (2 - 3)) * -data.x ", "(1 - (2 - 3)) * -data.x"),
        ("(data.x|default)|int(-1)", "data.x | default('') | int(-1)"),
        ("data.x | round(method = 'ceil', precision=1)", "data.x | round(method='ceil', precision=1)"),
        ("(data.x if data.y else 1) if data.z", "(data.x if data.y else 1) if data.z"),
        ("(data.x is in [1.50, 'a']) == true", "(data.x is in [1.50, 'a']) == true"),
        ("(data.items | first).name[1 : 2]", "(data.items | first).name[1:2]"),
        ("(data.a is defined) if data.b is eq 1 else 2", "(data.a is defined) if data.b is eq(1) else 2"),
    ],
)
def test_an_expression_is_spelled_with_the_parentheses_that_it_needs(text: str, spelled: str) -> None:
    assert str(compile_expression(text).tree) == spelled


@given(words=st.lists(st.sampled_from(WORDS), max_size=14))
def test_what_is_spelled_of_an_expression_is_read_as_an_equal_one(words: list[str]) -> None:
    with suppress(ExpressionError):
        tree = compile_expression(" ".join(words)).tree
        assert compile_expression(str(tree)).tree == tree


def test_expressions_that_say_the_same_are_equal_and_others_are_not() -> None:
    one, same = (compile_expression(text).tree for text in ("data.x  + 1 > 2 and (data.y)", "(data.x+1>2) and data.y"))
    assert one == same
    assert hash(one) == hash(same)
    texts = ("data.x == 1", "data.x == true", "data.x == 1.0", "data.x == '1'", "data.x != 1", "data.x >= 1")
    assert len({compile_expression(text).tree for text in texts}) == len(texts)
    assert compile_expression("data.x", MAP_NAMES) != compile_expression("data.x")
    assert "Constant(text='2')" in repr(one)


def parser_nodes() -> list[nodes.Node]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, nodes.Node)]


def test_an_expression_keeps_nothing_of_the_parser() -> None:
    before = parser_nodes()  # of other tests in this process; held, so that none of their ids comes again
    kept = compile_expression("data.kept[data.x] | default(1) is in [1, 2] or not 1 < data.y if data.z else -3")
    ids = set(map(id, before))
    assert [each for each in parser_nodes() if id(each) not in ids] == []
    assert kept
