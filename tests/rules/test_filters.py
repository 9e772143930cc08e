"""A filter of Jinja's name does what Jinja's does; where it differs on purpose, the row says how."""

import inspect
from decimal import Decimal
from typing import Any

import jinja2
import pytest
from jinja2.filters import FILTERS as OF_JINJA

from rules.errors import RenderError
from rules.expressions import compile_expression
from rules.filters import FILTERS
from rules.numbers import equal
from tests.rules.support import event

DATA = {
    "shipped": "anna's order hasn't shipped",
    "accents": "élan (o'brien) ǆ-straße [ça]\tva",
    "upper": "STRASSE UND ÖL",
    "sharp": "straße",
    "spaces": "  x y \n",
    "path": "/a b/ü?c=1&d#e",
    "words": "foo bar baz qux",
    "empty": "",
    "zero": 0,
    "no": False,
    "n": 42,
    "minus": -7,
    "f": 42.55,
    "tie": 2.5,
    "list": ["b", "a", "c"],
    "numbers": [1, 2, 3],
    "none_in_it": [],
    "people": [{"name": "Ann", "at": {"city": "Bern"}}, {"name": "Bob", "at": {"city": "Basel"}}],
    "query": {"a": "x y", "b": "1/2"},
    "text": "12.9",
    "hex": "0x1A",
    "word": "abc",
}


def of_jinja(expression: str) -> Any:
    return jinja2.Environment().compile_expression(expression, undefined_to_none=False)(data=DATA)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            f"data.{name} | {filter_}"
            for name in ("shipped", "accents", "upper", "sharp", "spaces", "path", "empty", "n", "minus", "f")
            for filter_ in (
                "title",
                "upper",
                "lower",
                "trim",
                "string",
                "urlencode",
                "replace('a', 'ü')",
                "default('x')",
            )
        ),
        "data.spaces | trim(' ')",
        "data.path | trim(chars='/e')",
        "data.words | replace('o', '0', 1)",
        "data.words | replace(old='ba', new='', count=1)",
        "data.n | replace(4, 'x')",
        "data.missing | default",
        "data.missing | default('x')",
        "data.missing | default(default_value=3)",
        "data.empty | default('x', true)",
        "data.zero | default(7, boolean=true)",
        "data.no | default('x', true)",
        "data.empty | default('x')",
        "data.zero | default(7)",
        "data.none_in_it | default('none', true)",
        "data.none_in_it | first | default('none')",
        "data.none_in_it | last | default('none')",
        "data.list | first",
        "data.list | last",
        "data.list | length",
        "data.words | length",
        "data.list | join",
        "data.list | join(', ')",
        "data.numbers | join('|')",
        "data.numbers | join(d='')",
        "data.numbers | join(0)",
        "data.people | join(', ', attribute='name')",
        "data.people | join(', ', 'at.city')",
        "data.none_in_it | join('-')",
        "data.query | urlencode",
        "data.f | round",
        "data.f | round(1, 'floor')",
        "data.f | round(precision=1, method='ceil')",
        "data.tie | round",
        "-data.tie | round",
        "data.n | round(-1)",
        "data.n | round(2)",
        "data.n | abs",
        "data.minus | abs",
        "data.f | abs",
        "data.f | int",
        "data.minus | int",
        "data.text | int",
        "data.text | float",
        "data.n | float",
        "data.hex | int(0, 16)",
        "data.hex | int(base=16)",
        "data.hex | int(7, 2)",
        "data.word | int(7)",
        "data.word | int(default=7)",
        "data.word | float(7.5)",
        "data.word | float(default=0)",
        *(
            f"data.words | truncate({length}, {kill}, '...', 0)"
            for length in (3, 9, 11, 15, 40)
            for kill in ("true", "false")
        ),
        "data.words | truncate(12, false, '...', 5)",
        "data.words | truncate(length=9, killwords=false, end='', leeway=2)",
    ],
)
def test_a_filter_does_what_jinjas_does(expression: str) -> None:
    ours = compile_expression(expression).evaluate(event(DATA))
    assert equal(ours, of_jinja(expression))


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("data.words | truncate(9)", "foo bar…"),  # an ellipsis of one character, and never longer than told
        ("data.words | truncate(14)", "foo bar baz q…"),
        ("data.nothing | default('x')", "x"),  # null is a missing value
        ("data.long | round(1)", Decimal("0.1")),  # a tie as written: 0.15 is no float
        ("data.f | round(1)", Decimal("42.6")),
        ("data.nothing | default(data.n)", 42),
    ],
)
def test_a_filter_differs_from_jinjas_where_the_manual_says_so(expression: str, expected: Any) -> None:
    data = {**DATA, "nothing": None, "long": Decimal("0.149")}
    assert compile_expression(expression).evaluate(event(data)) == expected


@pytest.mark.parametrize(
    "expression, message",
    [
        ("data.nothing | title", "is null"),
        ("data.nothing | int", "is null"),
        ("data.word | int", "is not a number"),
        ("data.word | float", "is not a number"),
        ("data.hex | int(base=2)", "is not a number"),
        ("data.yes | int", "is not a number"),
        ("data.list | abs", "is not a number"),
        ("data.list | join(attribute='name')", "has an element without name"),
        ("data.none_in_it | first", "a value is missing"),
        ("data.x | replace('x', '123456789012')", "would have 1200000 characters after replace, 1048576 are allowed"),
        ("data.x | replace('', '1234567890123')", "would have 1400013 characters after replace, 1048576 are allowed"),
        ("9e308 | float", "is a number too large for a float"),
    ],
)
def test_a_filter_without_an_answer_says_why(expression: str, message: str) -> None:
    with pytest.raises(RenderError) as failure:
        compile_expression(expression).evaluate(event({**DATA, "nothing": None, "yes": True, "x": "x" * 100_000}))
    assert str(failure.value) == f"{expression}: {message}"


@pytest.mark.parametrize("name", sorted(FILTERS.keys() & OF_JINJA.keys()))
def test_a_filter_takes_jinjas_arguments_by_their_names(name: str) -> None:
    theirs = [
        word for word in inspect.signature(OF_JINJA[name]).parameters if word not in ("environment", "env", "eval_ctx")
    ]
    ours = list(inspect.signature(FILTERS[name]).parameters)
    assert ours[1:] == (theirs[1:] if name not in ("join",) else ["d", "attribute"])
