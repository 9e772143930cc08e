"""Numbers mean one thing in `match`, `when`, filters, mapping, texts and payloads, whatever type they came in.

The oracle is exact fractions and digits; it shares no code with the product.
"""

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.mapping import MAP_NAMES, DecodedMessage, EventMap
from hub.notification import NativeContent, TemplateContent
from rules.errors import ExpressionError, RenderError
from rules.expressions import compile_expression
from rules.render import compile_text
from tests.rules.support import NOW, event, load

COMPARISONS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": (">", operator.gt),
    "gte": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "lte": ("<=", operator.le),
}


def meaning(number: Any) -> Fraction:
    """What the shortest text of a number says."""
    return Fraction(str(number))


def forms(number: Decimal) -> list[Any]:
    """The types in which one number comes: from JSON, XML, a header."""
    found: list[Any] = [number, Decimal(f"{number}0") if "." in str(number) else number]
    if number == number.to_integral_value():
        found.append(int(number))
    if meaning(float(number)) == meaning(number):
        found.append(float(number))
    return found


DECIMALS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-10_000, max_value=10_000),
    st.decimals(allow_nan=False, allow_infinity=False, places=0, min_value=-(10**30), max_value=10**30),
    st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-1, max_value=1),
    st.sampled_from([Decimal(text) for text in ("19.95", "0.1", "0.3", "0.00001", "9007199254740993", "1" + "0" * 23)]),
)
NUMBERS = DECIMALS.flatmap(lambda number: st.sampled_from(forms(number)))
ANY = NUMBERS | st.integers() | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)
PAIRS = st.tuples(ANY, ANY) | DECIMALS.flatmap(
    lambda number: st.tuples(st.sampled_from(forms(number)), st.sampled_from(forms(number)))
)


def written(number: Any) -> str:
    """The number as somebody writes it into a rule: digits, no exponent."""
    text = format(Decimal(str(number)), "f")
    return text.removeprefix("-") if meaning(text) == 0 else text


def fires(rule: str, data: Any, directory: Path) -> bool:
    """Whether a rule of this text fires; a question without an answer is a failure."""
    rules, problems = load(f"rules: [ {{ name: r, {rule}, push: {{ to: everyone, with: {{ a: b }} }} }} ]", directory)
    assert problems == []
    decision = rules.route(event(data), now=NOW)
    assert decision.errors == ()
    return bool(decision.intents)


def repr_or_size(number: Any) -> str:
    return f"{number.bit_length()}-bits" if isinstance(number, int) else repr(number)


def value(expression: str, data: Any) -> Any:
    return compile_expression(expression).evaluate(event(data))


@pytest.mark.slow
@given(pair=PAIRS)
def test_match_and_when_say_the_same_of_two_numbers(
    pair: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    left, right = pair
    directory = tmp_path_factory.getbasetemp()
    bound = written(right)
    data = {"a": left, "b": right, "lists": {"a": [left], "b": [right]}}
    same = meaning(left) == meaning(right)
    assert fires(f"match: {{ data: {{ a: {bound} }} }}", data, directory) is same
    assert fires(f"match: {{ data: {{ a: [x, {bound}] }} }}", data, directory) is same
    assert fires(f"match: {{ data: {{ a: {{ not: {bound} }} }} }}", data, directory) is not same
    assert fires(f"match: {{ data: {{ a: {{ between: [{bound}, {bound}] }} }} }}", data, directory) is same
    for one, other in (("data.a", "data.b"), ("data.a", bound), (written(left), "data.b"), (written(left), bound)):
        assert value(f"{one} == {other}", data) is same
        assert value(f"{one} != {other}", data) is not same
        assert value(f"{one} in [{other}]", data) is same
        assert value(f"[{one}] == [{other}]", data) is same
        assert value(f"{one} is eq({other}) and {one} is in [1, {other}]", data) is same
    assert value("data.lists.a == data.lists.b", data) is same
    assert value("data.a in data.lists.b and data.b in data.lists.a", data) is same
    for name, (sign, compare) in COMPARISONS.items():
        expected = compare(meaning(left), meaning(right))
        assert fires(f"match: {{ data: {{ a: {{ {name}: {bound} }} }} }}", data, directory) is expected
        assert fires(f"when: data.a {sign} {bound}", data, directory) is expected
        assert value(f"data.a {sign} data.b", data) is expected
        assert value(f"data.lists.a {sign} data.lists.b", data) is expected


@given(pair=PAIRS)
def test_arithmetic_is_exact(pair: tuple[Any, Any]) -> None:
    data = {"a": pair[0], "b": pair[1]}
    left, right = meaning(pair[0]), meaning(pair[1])
    assert meaning(value("data.a + data.b", data)) == left + right
    assert meaning(value("data.a - data.b", data)) == left - right
    assert meaning(value("data.a * data.b", data)) == left * right
    assert meaning(value(f"{written(pair[0])} * data.b", data)) == left * right
    assert meaning(value("-data.a", data)) == -left
    if right and abs(left / right) < 10**300:
        quotient = meaning(value("data.a / data.b", data))
        assert abs(quotient - left / right) <= abs(left / right) / 10**27
        assert meaning(value("data.a // data.b", data)) == left // right
        assert meaning(value("data.a % data.b", data)) == left % right


@given(number=ANY, digits=st.integers(-3, 6))
def test_filters_keep_what_a_number_means(number: Any, digits: int) -> None:
    data = {"n": number}
    exact = meaning(number)
    unit = Fraction(10) ** digits
    assert meaning(value("data.n | abs", data)) == abs(exact)
    assert meaning(value("data.n | number", data)) == exact
    assert meaning(value("data.n | string", data)) == exact
    assert meaning(value("data.n | string | number", data)) == exact
    assert value("data.n | int", data) == math.trunc(exact)
    assert meaning(value("data.n | default(0)", data)) == exact
    assert meaning(value(f"data.n | round({digits})", data)) == round(exact * unit) / unit  # half to even, as Python's
    assert meaning(value(f"data.n | round({digits}, 'floor')", data)) == math.floor(exact * unit) / unit
    assert meaning(value(f"data.n | round({digits}, 'ceil')", data)) == math.ceil(exact * unit) / unit


@given(number=st.one_of(ANY, st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_plain_decimal_wherever_it_becomes_text(
    number: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules, problems = load(
        """
        rules:
          - name: r
            push:
              to: "level:{{ data.tag }}"
              with: { alone: "{{ data.n }}", within: "n={{ data.n }}", listed: "{{ data.list }}", made: "{{ [data.n] }}" }
              collapse: "c-{{ data.n }}"
              native: { apns: { payload: { n: "{{ data.n }}", list: "{{ data.list }}", text: "n={{ data.n }}" } } }
        """,
        tmp_path_factory.getbasetemp(),
    )
    assert problems == []
    small = not isinstance(number, int) or -(2**63) <= number < 2**64
    data = {"n": number, "list": [number] if small else [1], "tag": number if len(written(number)) < 100 else 1}
    decision = rules.route(event(data), now=NOW)
    assert decision.failures == () or not small
    if not small:
        return  # a list with such an integer has no text
    template, native = (intent.notification for intent in decision.intents)
    assert isinstance(template.content, TemplateContent)
    assert isinstance(native.content, NativeContent)
    alone = template.content.properties["alone"]
    assert meaning(alone) == meaning(number)
    assert set(alone) <= set("-.0123456789")
    assert template.content.properties == {
        "alone": alone,
        "within": f"n={alone}",
        "listed": f"[{alone}]",
        "made": f"[{alone}]",
    }
    assert template.collapse_key == f"c-{alone}"
    assert str(template.audience) == f"level:{alone if data['tag'] is number else 1}"
    assert native.content.payload == f'{{"n":{alone},"list":[{alone}],"text":"n={alone}"}}'.encode()
    text = compile_text("{{ data.n }}", MAP_NAMES)
    mapped = EventMap(origin="bank", id=text, subject=text, type=text, source=text).event(
        DecodedMessage(data=data, meta={}), now=NOW
    )
    assert (mapped.id, mapped.subject, mapped.type, mapped.source) == (alone,) * 4


@pytest.mark.parametrize(
    "expression, text",
    [
        ("data.float", "19.95"),
        ("data.decimal", "19.90"),
        ("data.small", "0.00001"),
        ("data.large", "10000000000000000"),
        ("data.minus", "0.0"),
        ("data.float * 3", "59.85"),
        ("0.1 + 0.2", "0.3"),
        ("data.float - data.decimal", "0.05"),
        ("10 / 4", "2.5"),
        ("10 / 5", "2"),
        ("1 / 3", "0.3333333333333333333333333333"),
        ("-7.5 // 2", "-4"),
        ("-7.5 % 2", "0.5"),
        ("1000 * data.large", "10000000000000000000"),
        ("data.thousand", "1000"),
        ("data.float | round(1)", "20.0"),
        ("2.5 | round", "2"),
        ("1250 | round(-2)", "1200"),
        ("1250.5 | round(-2)", "1300"),
        ("data.small | abs", "0.00001"),
        ("'1e5' | number", "100000"),
        ("'0.5' | float", "0.5"),
        ("[data.small, data.large]", "[0.00001,10000000000000000]"),
        ("data.digits", "0.12345678901234567890"),
    ],
)
def test_a_number_is_written_as(expression: str, text: str) -> None:
    data = {
        "float": 19.95,
        "decimal": Decimal("19.90"),
        "small": 0.00001,
        "large": 1e16,
        "minus": -0.0,
        "thousand": Decimal("1E+3"),
        "digits": Decimal("0.12345678901234567890"),
    }
    assert compile_text(f"{{{{ {expression} }}}}").render(event(data)) == text


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("data.true == 1", False),
        ("1 in [data.true]", False),
        ("data.true is number", False),
        ("data.nan == 1", False),
        ("data.signal == 1", False),
        ("data.huge == 1", False),
        ("data.huge > 1", True),
        ("data.items[data.one]", "b"),
        ("data.items[data.two / 2]", "b"),
        ("data.items[data.one:]", ["b"]),
        ("1 < data.two < 2.5 < 3", True),
        ("1 < data.two < 2 < data.missing", False),
        ("data.object == data.other", True),
        ("9007199254740993 == 9007199254740992.0", False),
        ("0.1234567890123456789 == data.digits", True),
    ],
)
def test_a_number_compares_as(expression: str, expected: Any) -> None:
    data = {
        "true": True,
        "nan": float("nan"),
        "signal": Decimal("sNaN"),
        "huge": Decimal("1E+999999999"),
        "one": 1.0,
        "two": Decimal("2.0"),
        "items": ["a", "b"],
        "object": {"a": [0.5, {"b": 2}]},
        "other": {"a": [Decimal("0.5"), {"b": 2.0}]},
        "digits": Decimal("0.1234567890123456789"),
    }
    assert value(expression, data) == expected


@pytest.mark.parametrize(
    "expression, message",
    [
        ("data.huge | string", "is a number too large to write out"),
        ("data.huge | int", "is a number too large to write out"),
        ("data.huge + 1", "a number is out of range"),
        ("data.huge * data.huge", "a number is out of range"),
        ("data.huge // 3", "a number is out of range"),
        ("data.digits * data.digits * data.digits", "a number is out of range"),
        ("1e-300 * 1e-300 * 1e-300", "a number is out of range"),
        ("data.nan + 1", "is not a finite number"),
        ("data.infinite > 1", "is not a finite number"),
        ("data.signal > 1", "is not a finite number"),
        ("data.nan | string", "is not a finite number"),
        ("data.list | string", "is not a finite number"),
        ("data.true > 0", "does not go with values of these kinds"),
        ("data.true + 1", "does not go with values of these kinds"),
        ("2.5 / 0.0", "a division by zero"),
        ("data.huge % 0", "a division by zero"),
    ],
)
def test_a_number_without_an_answer_says_why(expression: str, message: str) -> None:
    data = {
        "huge": Decimal("1E+999999999"),
        "digits": 10**300,
        "nan": float("nan"),
        "infinite": Decimal("Infinity"),
        "signal": Decimal("sNaN"),
        "true": True,
        "list": [1, float("nan")],
    }
    with pytest.raises(RenderError) as failure:
        value(expression, data)
    assert str(failure.value) == f"{expression}: {message}"


@pytest.mark.parametrize("literal", ["1e999", "1e99999999999999999999999", "9" * 5000, "9" * 400, "1e-999"])
def test_a_number_out_of_range_is_refused_as_the_rule_loads(literal: str) -> None:
    with pytest.raises(ExpressionError, match="a number is out of range"):
        compile_expression(f"data.x == {literal}")


@pytest.mark.parametrize(
    "number", [Decimal("1E+999999999"), float("inf"), Decimal("NaN"), 1 << 20_000], ids=repr_or_size
)
def test_what_has_no_plain_text_costs_the_rule_and_is_named(number: Any, tmp_path: Path) -> None:
    rules, _ = load(
        """
        rules:
          - { name: bad, push: { to: everyone, with: { a: "{{ data.n }}" } } }
          - { name: good, push: { to: everyone, with: { a: b } } }
        """,
        tmp_path,
    )
    decision = rules.route(event({"n": number}), now=NOW)
    assert [intent.rule for intent in decision.intents] == ["good"]
    ((failure),) = decision.failures
    assert failure.detail.startswith("data.n is ")


def test_a_payload_keeps_numbers_as_numbers(tmp_path: Path) -> None:
    rules, problems = load(
        """
        rules:
          - name: r
            push:
              to: everyone
              native: { apns: { payload: { whole: "{{ data.n * 1 }}", all: "{{ data }}", constant: 1e16, tiny: 0.00001 } } }
        """,
        tmp_path,
    )
    assert problems == []
    (intent,) = rules.route(event({"n": Decimal("12345678901234567.89"), "f": 1e16}), now=NOW).intents
    assert isinstance(intent.notification.content, NativeContent)
    assert intent.notification.content.payload == (
        b'{"whole":12345678901234567.89,"all":{"n":12345678901234567.89,"f":10000000000000000},'
        b'"constant":10000000000000000,"tiny":0.00001}'
    )
    assert orjson.loads(intent.notification.content.payload)["constant"] == 10**16
