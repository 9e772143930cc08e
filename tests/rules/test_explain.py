"""RuleSet.explain: for every rule that it fires, or the first condition that fails and where that stands."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.duration import seconds_in
from rules.engine import Rule, RuleSet
from rules.errors import RenderError
from rules.event import MISSING
from rules.explain import Explanation, RuleResult
from rules.expressions import compile_expression
from rules.loader import load_rules
from rules.match.patterns import compile_match
from rules.problems import Problems
from tests.rules.support import NOW, SCOPE, document, event, load, node
from tests.rules.test_index import DATA, PATTERNS

NAMES = [{"first": "Anna", "last": "Smith"}, {"first": "Bob", "last": "Jones"}]


def rules(text: str, directory: Path) -> RuleSet:
    compiled, problems = load(text, directory)
    assert [problem for problem in problems if "warning" not in problem] == []
    return compiled


def only(text: str, directory: Path, data: Any, **attributes: Any) -> Explanation:
    (explanation,) = rules(text, directory).explain(event(data, **attributes))
    return explanation


@pytest.mark.parametrize(
    "pattern, data, key, wanted, seen",
    [
        ("{ a: x }", {"a": "y"}, "a", '"x"', {"data.a": "y"}),
        ("{ a: x }", {}, "a", '"x"', {"data.a": MISSING}),
        ("{ a: { b: { c: x } } }", {"a": {}}, "a.b.c", '"x"', {"data.a.b.c": MISSING}),
        ("{ a: 19.90 }", {"a": Decimal("19.9"), "b": 1}, None, "", {}),
        ("{ a: 19.90 }", {"a": 20}, "a", "19.90", {"data.a": 20}),
        ("{ a: x, b: y }", {"a": "x", "b": "z"}, "b", '"y"', {"data.b": "z"}),
        ("{ a: x, b: y }", {"a": "w", "b": "z"}, "a", '"x"', {"data.a": "w"}),
        ("{ a: [x, y] }", {"a": "z"}, "a", '["x", "y"]', {"data.a": "z"}),
        ("{ a: [x, { gt: 5 }] }", {"a": 3}, "a", '["x", { gt: 5 }]', {"data.a": 3}),
        ("{ a: [ { gt: 5 } ] }", {"a": 3}, "a[0].gt", "gt: 5", {"data.a": 3}),
        ("{ a: { gte: 100, lt: 500 } }", {"a": 500}, "a.lt", "lt: 500", {"data.a": 500}),
        ("{ a: { gte: 5, lte: 10 } }", {"a": [1, 20]}, "a", "{ gte: 5, lte: 10 }", {"data.a": [1, 20]}),
        ("{ a: { gte: 5, lte: 10 } }", {"a": [20]}, "a.lte", "lte: 10", {"data.a[0]": 20}),
        ("{ a: { gt: 1 } }", {"a": 1}, "a.gt", "gt: 1", {"data.a": 1}),
        ("{ a: { between: [1, 5] } }", {"a": 6}, "a.between", "between: [1, 5]", {"data.a": 6}),
        ("{ a: { prefix: ab } }", {"a": "b"}, "a.prefix", 'prefix: "ab"', {"data.a": "b"}),
        ("{ a: { suffix: [ab, cd] } }", {"a": "b"}, "a.suffix", 'suffix: ["ab", "cd"]', {"data.a": "b"}),
        ("{ a: { glob: 'x*' } }", {"a": "b"}, "a.glob", 'glob: "x*"', {"data.a": "b"}),
        ("{ a: { cidr: 10.0.0.0/8 } }", {"a": "11.0.0.1"}, "a.cidr", 'cidr: "10.0.0.0/8"', {"data.a": "11.0.0.1"}),
        ("{ a: { exists: true } }", {}, "a.exists", "exists: true", {"data.a": MISSING}),
        ("{ a: { exists: false } }", {"a": None}, "a.exists", "exists: false", {"data.a": None}),
        ("{ a: { ignore_case: acme } }", {"a": "x"}, "a.ignore_case", 'ignore_case: "acme"', {"data.a": "x"}),
        (
            "{ a: { ignore_case: { prefix: AC, suffix: me } } }",
            {"a": "acne"},
            "a.ignore_case.suffix",
            'suffix: "me"',
            {"data.a": "acne"},
        ),
        ("{ a: { not: [x, y] } }", {"a": "y"}, "a.not", 'not: ["x", "y"]', {"data.a": "y"}),
        ("{ a: { not: x } }", {"a": ["w", "x"]}, "a.not", 'not: "x"', {"data.a[1]": "x"}),
        ("{ a: { not: x } }", {}, "a.not", 'not: "x"', {"data.a": MISSING}),
        ("{ a: { not: { gt: 5, lt: 9 } } }", {"a": 7}, "a.not", "not: { gt: 5, lt: 9 }", {"data.a": 7}),
        ("{ a: { all: { gt: 5 } } }", {"a": [7, 4]}, "a.all.gt", "gt: 5", {"data.a[1]": 4}),
        ("{ a: { all: { gt: 5 } } }", {"a": []}, "a.all", "all: { gt: 5 }", {"data.a": []}),
        ("{ a: { all: { not: draft } } }", {"a": ["x", "draft"]}, "a.all.not", 'not: "draft"', {"data.a[1]": "draft"}),
        ("{ a: { any: { gt: 5 } } }", {"a": [1, 2]}, "a.any", "{ gt: 5 }", {"data.a": [1, 2]}),
        (
            "{ a: { any: { not: { prefix: x } } } }",
            {"a": "xy"},
            "a.any.not",
            'not: { prefix: "x" }',
            {"data.a": "xy"},
        ),
        ("{ a: { any: x, all: { prefix: x } } }", {"a": ["x", "y"]}, "a.all.prefix", 'prefix: "x"', {"data.a[1]": "y"}),
        (
            "{ names: { first: Anna, last: Jones } }",
            {"names": NAMES},
            "names",
            '{ first: "Anna", last: "Jones" }',
            {"data.names": NAMES},
        ),
        ("{ a b: x }", {"a b": "y"}, "a b", '"x"', {"data['a b']": "y"}),
    ],
)
def test_a_pattern_names_its_first_condition_that_fails(
    pattern: str, data: Any, key: str | None, wanted: str, seen: dict[str, Any], tmp_path: Path
) -> None:
    text = f"rules: [ {{ name: r, match: {{ data: {pattern} }}, stop: true }} ]"
    explanation = only(text, tmp_path, data)
    if key is None:
        assert (explanation.result, explanation.condition) == (RuleResult.STOPPED, None)
        return
    condition = explanation.condition
    assert explanation.result is RuleResult.NOT_MATCHED
    assert condition is not None
    assert (condition.place.key, condition.wanted, condition.seen, condition.error) == (
        f"rules[0].match.data.{key}",
        wanted,
        seen,
        "",
    )


@pytest.mark.parametrize(
    "pattern, data, key, seen, error",
    [
        ("{ a: { gte: 1 } }", {"a": "7"}, "a.gte", {"data.a": "7"}, "expected a number, found text"),
        ("{ a: { gte: 1 } }", {"a": ["?", 0]}, "a.gte", {"data.a[0]": "?"}, "expected a number, found text"),
        ("{ a: { not: { gt: 1 } } }", {"a": "x"}, "a.not.gt", {"data.a": "x"}, "expected a number, found text"),
        ("{ a: { all: { gt: 1 } } }", {"a": [2, "x"]}, "a.all.gt", {"data.a[1]": "x"}, "expected a number, found text"),
        ("{ a: [ { gt: 1 }, x ] }", {"a": "y"}, "a[0].gt", {"data.a": "y"}, "expected a number, found text"),
        ("{ a: { cidr: 10.0.0.0/8 } }", {"a": "10.1"}, "a.cidr", {"data.a": "10.1"}, "expected an IP address"),
        ("{ a: { ignore_case: x } }", {"a": 5}, "a.ignore_case", {"data.a": 5}, "expected text, found a number"),
        ("{ a: { gt: 1 } }", {"a": {"b": 1}}, "a.gt", {"data.a": {"b": 1}}, "expected a number, found an object"),
        (
            "{ b: x, a: { gt: 1 } }",
            {"b": "x", "a": True},
            "a.gt",
            {"data.a": True},
            "expected a number, found true or false",
        ),
        # an error counts only where no condition says no
        ("{ a: { gt: 1 }, b: x }", {"a": "?", "b": "y"}, "b", {"data.b": "y"}, ""),
    ],
)
def test_an_error_of_a_pattern_keeps_its_text(
    pattern: str, data: Any, key: str, seen: dict[str, Any], error: str, tmp_path: Path
) -> None:
    explanation = only(f"rules: [ {{ name: r, match: {{ data: {pattern} }}, stop: true }} ]", tmp_path, data)
    condition = explanation.condition
    assert condition is not None
    assert (condition.place.key, condition.seen, condition.error) == (f"rules[0].match.data.{key}", seen, error)
    assert explanation.result is (RuleResult.ERROR if error else RuleResult.NOT_MATCHED)


@pytest.mark.parametrize(
    "when, data, column, wanted, seen, error",
    [
        ("data.a > 1 and data.b == 'x'", {"a": 2, "b": "y"}, 16, "data.b == 'x'", {"data.b": "y"}, ""),
        ("data.a > 1 and data.b == 'x'", {"a": 1, "b": "y"}, 1, "data.a > 1", {"data.a": 1}, ""),
        (
            "(data.a or data.b) and data.c",
            {"a": 0, "b": "", "c": 1},
            2,
            "data.a or data.b",
            {"data.a": 0, "data.b": ""},
            "",
        ),
        ("data.a > 1 or data.b in ['x']", {"a": 1, "b": "y"}, 1, None, {"data.a": 1, "data.b": "y"}, ""),
        ("not data.a and data.b", {"a": False, "b": 0}, 16, "data.b", {"data.b": 0}, ""),
        ("data.a | lower == 'x'", {"a": "Y"}, 1, None, {"data.a": "Y", "data.a | lower": "y"}, ""),
        (
            "data.n >= data.x | default(5)",
            {"n": 3},
            1,
            None,
            {"data.n": 3, "data.x": MISSING, "data.x | default(5)": 5},
            "",
        ),
        ("data.x is defined", {}, 1, None, {"data.x": MISSING}, ""),
        ("data.x > 1", {}, 1, None, {"data.x": MISSING}, "data.x is missing"),
        ("1 + data.n / 0 > 1", {"n": 3}, 5, "data.n / 0", {"data.n": 3}, "1 + data.n / 0 > 1: a division by zero"),
        ("data.a + data.b > 9", {"a": 3, "b": 4}, 1, None, {"data.a": 3, "data.b": 4, "data.a + data.b": 7}, ""),
        ("1 < data.a < data.b < 9", {"a": 5, "b": 5}, 5, "data.a < data.b", {"data.a": 5, "data.b": 5}, ""),
        ("1 < data.a < data.b", {"a": 1, "b": 5}, 1, "1 < data.a", {"data.a": 1}, ""),
        ("not (data.a or data.b == 2)", {"a": 0, "b": 2}, 16, "not data.b == 2", {"data.b": 2}, ""),
        ("not (data.a and data.b)", {"a": 1, "b": 2}, 1, None, {"data.a": 1, "data.b": 2}, ""),
        ("data.a or not data.b", {"a": 0, "b": 2}, 1, None, {"data.a": 0, "data.b": 2}, ""),
        ("data.a == 1 and data.b is not none", {"a": 1, "b": None}, 17, "data.b is not none", {"data.b": None}, ""),
        ("data.a or data.b * 2 > 1", {"a": 0}, 11, "data.b * 2", {"data.b": MISSING}, "data.b is missing"),
        (
            "data.a | default(data.s | int) > 1",
            {"s": "x"},
            18,
            "data.s | int",
            {"data.s": "x"},
            "data.a | default(data.s | int) > 1: is not a number",
        ),
        (
            "data.n and data.s > 1",
            {"n": 1, "s": "t"},
            12,
            "data.s > 1",
            {"data.s": "t"},
            "data.n and data.s > 1: does not go with values of these kinds",
        ),
        ("data.items[0].n > 1", {"items": [{"n": 1}]}, 1, None, {"data.items[0].n": 1}, ""),
    ],
)
def test_a_when_names_the_condition_that_fails_with_its_column(
    when: str, data: Any, column: int, wanted: str | None, seen: dict[str, Any], error: str, tmp_path: Path
) -> None:
    text = f'rules: [ {{ name: r, when: "{when}", stop: true }} ]'
    condition = only(text, tmp_path, data).condition
    assert condition is not None
    assert (condition.wanted, condition.seen, condition.error) == (wanted or when, seen, error)
    assert condition.place.key == "rules[0].when"
    assert condition.place.mark.column == text.index(when) + column


@pytest.mark.parametrize(
    "push, data, key, wanted, seen, error",
    [
        (
            "{ to: 'c:{{ data.t }}', with: { a: b } }",
            {"t": "x || vip"},
            "to",
            "c:{{ data.t }}",
            {"data.t": "x || vip"},
            "data.t holds a space, which a tag may not hold:"
            " | replace(' ', '-') makes it one, in the tags of the phones too",
        ),
        (
            "{ to: 'a:{{ data.a }} && !(b || c:{{ data.t }})', with: { a: b } }",
            {"a": 1, "t": None},
            "to",
            "c:{{ data.t }}",
            {"data.t": None},
            "data.t is null",
        ),
        (
            "{ to: { user: '{{ data.t }}' }, with: { a: b } }",
            {},
            "to",
            "{{ data.t }}",
            {"data.t": MISSING},
            "data.t is missing",
        ),
        (
            "{ to: x, with: { a: b, c: 'n {{ data.a }} {{ data.n | int }}' } }",
            {"a": 1, "n": "?"},
            "with.c",
            "{{ data.n | int }}",
            {"data.n": "?"},
            "data.n | int: is not a number",
        ),
        (
            "{ to: x, with: { a: b }, collapse: '{{ data.c }}' }",
            {"c": None},
            "collapse",
            "{{ data.c }}",
            {"data.c": None},
            "data.c is null",
        ),
        (
            "{ to: x, native: { apns: { payload: { a: [{ b: x }, { b: '{{ data.n }} {{ data.c }}' }] } } } }",
            {"n": 1},
            "native.apns.payload.a[1].b",
            "{{ data.c }}",
            {"data.c": MISSING},
            "data.c is missing",
        ),
        (
            """{ to: x, native: { apns: { payload: '{ "a": { "b": "{{ data.c }}" } }' } } }""",
            {"c": [2**64]},
            "native.apns.payload.a.b",
            "{{ data.c }}",
            {"data.c": [2**64]},
            "data.c cannot be written as JSON",
        ),
        (
            "{ to: x, native: { wns: { payload: '<a>{{ data.n }}{{ data.c }}</a>' } } }",
            {"n": 1, "c": "\0"},
            "native.wns.payload",
            "{{ data.c }}",
            {"data.c": "\0"},
            "data.c holds a character that XML does not allow",
        ),
        (
            "{ to: x, native: { apns: { payload: {}, headers: { apns-topic: 'x{{ data.c }}' } } } }",
            {"c": "\n"},
            "native.apns.headers.apns-topic",
            "{{ data.c }}",
            {"data.c": "\n"},
            "data.c holds a control character, which no header may",
        ),
        (
            "{ to: x, native: { apns: { payload: { a: '{{ data.c }}', b: '{{ data.c }}' } } } }",
            {"c": "x" * 40_000},
            "native.apns.payload",
            "a payload of at most 65536 bytes",
            {},
            "a payload of 80015 bytes is too large, 65536 are allowed",
        ),
    ],
)
def test_a_push_that_cannot_be_filled_names_the_text(
    push: str, data: Any, key: str, wanted: str, seen: dict[str, Any], error: str, tmp_path: Path
) -> None:
    explanation = only(f"rules: [ {{ name: r, push: {push} }} ]", tmp_path, data)
    condition = explanation.condition
    assert condition is not None
    assert explanation.result is RuleResult.FAILED
    assert (condition.place.key, condition.wanted, condition.seen, condition.error) == (
        f"rules[0].push.{key}",
        wanted,
        seen,
        error,
    )
    written = f"rules: [ {{ name: r, push: {push} }} ]"
    assert condition.place.mark.line == 1
    if " is missing" in error:
        assert written[condition.place.mark.column - 1 :].startswith(error.removesuffix(" is missing"))


def test_every_rule_is_explained_in_order_with_its_place(tmp_path: Path) -> None:
    text = """
        rules:
          - { name: other, source: [hr], stop: true }
          - name: fires
            match: { data: { amount: { gte: 100 } } }
            push: { to: x, with: { a: b } }
          - name: small
            match:
              data:
                amount:
                  lt: 100
            push: { to: x, with: { a: b } }
          - { name: ends, stop: true }
          - { name: behind, push: { to: x, with: { a: b } } }
    """
    other, fires, small, ends, behind = rules(text, tmp_path).explain(event({"amount": 250}))
    assert [one.result for one in (other, fires, small, ends, behind)] == [
        RuleResult.NOT_MATCHED,
        RuleResult.FIRED,
        RuleResult.NOT_MATCHED,
        RuleResult.STOPPED,
        RuleResult.NOT_REACHED,
    ]
    assert other.condition is not None
    assert (other.condition.place.key, other.condition.wanted, other.condition.seen) == (
        "rules[0].source",
        "hr",
        {"origin": "bank"},
    )
    assert small.condition is not None
    assert str(small.condition.place).endswith("rules.yaml:11:15: rules[2].match.data.amount.lt")
    assert behind.stopped_by == "ends"
    assert str(fires.place).endswith("rules.yaml:4:5: rules[1]")


def test_no_value_of_an_event_and_nothing_that_was_filled_in_is_shown_by_accident(tmp_path: Path) -> None:
    root, _ = document("match: { data: { a: '${env:KEY}', b: x } }", tmp_path, {"KEY": "canary"})
    match = compile_match(root.find(("match",)), Problems())
    assert match.test(event({"a": "canary", "b": "x"}))
    condition = match.explain(event({"a": "personal", "b": "x"}), "match")
    assert condition is not None
    assert condition.wanted == '"${env:KEY}"'
    assert condition.seen == {"data.a": "personal"}
    assert "personal" not in repr(condition)
    assert "canary" not in repr(condition)


def test_patterns_that_ask_the_same_are_equal_wherever_they_stand(tmp_path: Path) -> None:
    first, _ = document("match: { data: { a: { gte: 1, not: [2, 3] }, b: [x, y] } }", tmp_path)
    second, _ = document("match:\n  data:\n    a: { gte: 1, not: [2, 3] }\n    b: [x, y]", tmp_path)
    other, _ = document("match: { data: { a: { gte: 1, not: [2, 3] }, b: [x, z] } }", tmp_path)
    one, same, another = (compile_match(root.find(("match",)), Problems()) for root in (first, second, other))
    assert one == same
    assert one != another
    assert hash(one.attributes) == hash(same.attributes)


OPERANDS = st.sampled_from(["data.x", "data.y", "data.z", "data.p.x", "data.x[0]", "1", "'a'", "none", "[1, 'a']"])
OPERATIONS = st.recursive(
    OPERANDS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner)
        | st.builds("({} | {})".format, inner, st.sampled_from(["int", "upper", "length", "first", "default('a')"]))
    ),
    max_leaves=3,
)
CONDITIONS = st.recursive(
    OPERATIONS
    | st.builds("{} {} {}".format, OPERATIONS, st.sampled_from(["==", "!=", "<", ">=", "in", "not in"]), OPERATIONS)
    | st.builds("{} < {} <= {}".format, OPERATIONS, OPERATIONS, OPERATIONS)
    | st.builds("{} is {}".format, OPERATIONS, st.sampled_from(["defined", "not defined", "string", "not none"])),
    lambda inner: (
        st.builds("(({}) {} ({}))".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not ({})".format, inner)
        | st.builds("({} if {} else {})".format, OPERATIONS, inner, inner)
    ),
    max_leaves=4,
)


@pytest.mark.slow
@given(when=CONDITIONS, data=DATA)
def test_what_a_when_names_is_false_or_has_no_answer_for_the_event(when: str, data: Any) -> None:
    subject, expression = event(data), compile_expression(when)
    unmet = expression.explain(subject)
    if unmet is None:
        assert expression.evaluate(subject)
        return
    named = compile_expression(unmet.wanted)
    if unmet.error:
        with pytest.raises(RenderError) as failure:
            expression.evaluate(subject)
        assert str(failure.value) == unmet.error
        with pytest.raises(RenderError):
            named.evaluate(subject)
    else:
        assert not expression.evaluate(subject)
        assert not named.evaluate(subject)
    assert len(unmet.wanted) <= len(str(expression.tree))


@pytest.mark.slow
@settings(deadline=None)  # a busy machine is no failure
@given(
    patterns=st.lists(PATTERNS, max_size=6),
    whens=st.lists(st.just("") | CONDITIONS, max_size=6),
    texts=st.lists(OPERATIONS, min_size=1, max_size=3),
    stops=st.lists(st.booleans(), max_size=6),
    type_=st.sampled_from(["t", "u", "w"]),
    data=DATA,
)
def test_explain_says_fired_exactly_when_route_yields_an_intent_of_the_rule(
    patterns: list[Any],
    whens: list[str],
    texts: list[str],
    stops: list[bool],
    type_: str,
    data: Any,
    tmp_path_factory: Any,
) -> None:
    listed = []
    for number, pattern in enumerate(patterns):
        rule: dict[str, Any] = {"name": f"r{number}", "match": pattern}
        text = f"a{{{{ {texts[number % len(texts)]} }}}}"
        native = {"apns": {"payload": {"a": [text, text[1:]]}}}
        rule["push"] = {"to": "{{ data.z | default('x') }}", "with": {"a": text}, "native": native}
        if number < len(whens) and whens[number]:
            rule["when"] = whens[number]
        if number < len(stops):
            rule["stop"] = stops[number]
        listed.append(rule)
    compiled = load_rules(node(listed), None, SCOPE, Problems(), seconds_in=seconds_in)
    subject = event(data, type=type_)
    decision = compiled.route(subject, now=NOW)
    explained = compiled.explain(subject)

    def named(result: RuleResult) -> set[str]:
        return {one.rule for one in explained if one.result is result}

    assert named(RuleResult.FIRED) == {intent.rule for intent in decision.intents}
    assert named(RuleResult.FAILED) == {failure.rule for failure in decision.failures}
    assert named(RuleResult.ERROR) == set(decision.errors)
    assert all(one.condition is None for one in explained if one.result is RuleResult.FIRED)


def test_a_rule_made_by_a_program_is_explained_too() -> None:
    (explanation,) = RuleSet([Rule(name="r", sources=frozenset({"hr"}))]).explain(event())
    assert explanation.result is RuleResult.NOT_MATCHED
