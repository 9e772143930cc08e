"""Words of other filter languages: `check` names ours, once, wherever they stand; fields of the same name stay fields."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bridge.config.schema import json_schema
from tests.bridge.examples import complaints

RULE = """
sources: {{ js: {{ http: {{ path: /in/js }}, map: {{ id: "{{{{ data.id }}}}", type: "{{{{ data.type }}}}" }} }} }}
hubs: {{ app: {{}} }}
rules:
  - {{ name: r, {rule}, push: {{ to: x, with: {{ a: b }} }} }}
"""


MATCH_SCHEMA = Draft202012Validator({"$ref": "#/$defs/rules.models.Match", "$defs": json_schema()["$defs"]})


def said(directory: Path, rule: str) -> list[str]:
    return complaints(directory, RULE.format(rule=rule))


OPERATORS = [
    # EventBridge
    ("anything-but: [a]", "not"),
    ("equals-ignore-case: a", "ignore_case"),
    ("EqualsIgnoreCase: a", "ignore_case"),
    ("equals_ignore_case: a", "ignore_case"),
    ('numeric: [ ">=", 100 ]', "gt"),
    ("wildcard: 'a*'", "glob"),
    ("prefix: { equals-ignore-case: a }", "ignore_case: { prefix: … }"),
    # Event Grid
    ("StringContains: a", "glob"),
    ("stringBeginsWith: a", "prefix"),
    ("StringEndsWith: a", "suffix"),
    ("NumberGreaterThanOrEquals: 1", "gte"),
    ("NumberLessThan: 1", "lt"),
    ("NumberInRange: [ [1, 2] ]", "between"),
    ("StringNotIn: [a]", "not"),
    ("BoolEquals: true", "the value itself"),
    ("IsNullOrUndefined: true", "exists: false"),
    ("IsNotNull: true", "not: [null]"),
    # MongoDB
    ('"$eq": a', "the value itself"),
    ('"$ne": a', "not"),
    ('"$in": [a]', "a list"),
    ('"$nin": [a]', "not"),
    ('"$gt": 1', "gt"),
    ('"$gte": 1', "gte"),
    ('"$regex": a', "glob"),
    ('"$exists": true', "exists"),
    ('"$elemMatch": { a: 1 }', "any"),
    ('"$or": [ a, b ]', "list"),
    ('"$and": [ a, b ]', "keys"),
    ('"$not": { a: 1 }', "not"),
    ('"$nor": [ a ]', "not"),
    ('"$size": 2', "length"),
    ('"$all": [ a ]', "all"),
    ('"$mod": [ 4, 0 ]', "when"),
    ('"$type": string', "is string"),
    # Elasticsearch
    ("term: a", "the value itself"),
    ("terms: [a]", "a list"),
    ("range: { gte: 1 }", "gte"),
    ("match_phrase: a", "the value itself"),
    ("fuzzy: a", "glob"),
    ("must: [ { a: 1 } ]", "keys"),
    ("must_not: a", "not"),
    ("should: [ { a: 1 } ]", "list"),
    ("filter: [ { a: 1 } ]", "keys"),
    # SQL, VRL and what people try
    ("like: 'a%'", "glob"),
    ("ilike: 'a%'", "glob"),
    ("'is null': true", "exists: false"),
    ('"<": 1', "lt"),
    ('">=": 1', "gte"),
    ('"!=": 1', "not"),
    ('"==": 1', "the value itself"),
    ("nin: [a]", "not"),
    ("contains: a", "glob"),
    ("startsWith: a", "prefix"),
    ("starts_with: a", "prefix"),
    ("endsWith: a", "suffix"),
    ("includes: a", "glob"),
    ("has: a", "glob"),
    ("greater_than: 1", "gt"),
    ("not_in: [a]", "not"),
    # ours in another spelling
    ("ignoreCase: a", "ignore_case"),
    ("Prefix: a", "prefix"),
    ("GTE: 1", "gte"),
    ("exits: true", "exists"),
]

PLACES = {
    "a field": "match: {{ data: {{ x: {{ {0} }} }} }}",
    "a list": "match: {{ data: {{ x: [ a, {{ {0} }} ] }} }}",
    "any": "match: {{ data: {{ x: {{ any: {{ {0} }} }} }} }}",
    "not": "match: {{ data: {{ x: {{ not: {{ {0} }} }} }} }}",
    "all, deep": "match: {{ data: {{ x: {{ y: {{ all: {{ {0} }} }} }} }} }}",
    "an attribute": "match: {{ type: {{ {0} }} }}",
    "meta": "match: {{ meta: {{ headers: {{ {0} }} }} }}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("operator", "ours"), OPERATORS, ids=[operator for operator, _ in OPERATORS])
def test_an_operator_of_another_language_is_named_with_ours(
    operator: str, ours: str, place: str, tmp_path: Path
) -> None:
    found = [line for line in said(tmp_path, PLACES[place].format(operator)) if "no event has this type" not in line]
    assert len(found) == 1
    assert ours in found[0].partition("(")[2]


@pytest.mark.slow
def test_an_editor_marks_each_of_them_too() -> None:
    places = ("a field", "any", "an attribute")  # the others are made of the same three parts of the schema
    wrong = [PLACES[place].format(operator) for place in places for operator, _ in OPERATORS]
    marked = marked_by_schema(wrong)
    assert [rule for rule in wrong if rule not in marked] == []


def marked_by_schema(rules: Sequence[str]) -> set[str]:
    """Those of the rules, which are a match each, that the schema for editors refuses."""
    text = "".join(f"\n- {{ {rule} }}" for rule in rules)
    parsed = yaml.load(text, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    return {rule for rule, entry in zip(rules, parsed, strict=True) if not MATCH_SCHEMA.is_valid(entry["match"])}


FIELDS = (
    "{ data: { type: order, size: L, count: 3 } }",
    "{ data: { order: { type: x } } }",
    "{ data: { shirt: { size: L } } }",
    "{ data: { state: open, like: 5 } }",
    "{ data: { in: stock } }",
    "{ data: { a: { gte: 5, lte: 5 }, b: { gt: 1, lt: 1.5 }, c: [ { lt: 10 }, { gt: 20 } ] } }",
    "{ data: { post: { contains: x, author: ann } } }",
    "{ data: { range: 5, filter: on, should: x } }",
    "{ data: { price: { min: 3, max: 5 } } }",
    "{ data: { from: a, until: b } }",
    "{ data: { x: { ignore_case: [A, b] }, y: { ignore_case: { prefix: A, glob: 'x*' } } } }",
    "{ data: { a: '< x', b: 'a > b', c: '=', d: '<p>' } }",
)


@pytest.mark.parametrize("match", FIELDS)
def test_a_field_may_have_a_name_like_an_operator(match: str, tmp_path: Path) -> None:
    found = said(tmp_path, f"match: {match}")
    allowed = (
        ["taken for a field named in"] if "in: stock" in match else ["compared as a text"] if "'< x'" in match else []
    )
    assert [line for line in found if not any(word in line for word in allowed)] == []
    assert bool(marked_by_schema([f"match: {match}"])) == ("in: stock" in match)


@pytest.mark.parametrize(
    ("match", "cure"),
    [
        ('{ "$or": [ { type: a } ] }', "alternatives of one field are a list"),
        ("{ any: [ { type: a } ] }", "unknown key"),
        ("type == 'a'", "`when`"),
        ("{ data: { a: '>= 100' } }", "write { gte: 100 }"),
        ("{ data: { a: '!= b' } }", "write { not: b }"),
        ("{ type: 'order.*' }", "glob"),
        ('{ data: { a: { gte: "100" } } }', "write 100"),
        ('{ data: { a: { lt: "1_000" } } }', "write 1000"),
        ('{ data: { a: { between: ["1", "9"] } } }', "write 1"),
        ("{ data: { a: { gte: 100, lt: 50 } } }", "nothing is gte 100 and lt 50 at once"),
        ("{ data: { a: { any: { gt: 5, lte: 5 } } } }", "nothing is gt 5 and lte 5 at once"),
        ("{ data: { a: { gte: 1e400, lt: 5 } } }", "a number out of range"),
        ("{ data: { a: { gte: b, lt: a } } }", "nothing is gte b and lt a at once"),
        ("{ data: { a: { gt: b, lte: b } } }", "nothing is gt b and lte b at once"),
        (
            "{ data: { a: { gte: x, lt: 5 } } }",
            "nothing is gte x and lt 5 at once (both are numbers, or both are texts)",
        ),
        ("{ data: { a: { all: { gt: 5.5, lt: x } } } }", "nothing is gt 5.5 and lt x at once"),
        ("{ data: { pin: 0123 } }", "quote it"),
    ],
)
def test_a_value_that_is_meant_otherwise_is_doubted(match: str, cure: str, tmp_path: Path) -> None:
    found = said(tmp_path, f"match: {match}" if "==" not in match else f'match: "{match}"')
    assert any(cure in line for line in found), found
    assert len({line.split(": ")[1] for line in found}) == len(found)


@pytest.mark.parametrize(
    ("expression", "cure"),
    [
        ("data.a && data.b", "write and"),
        ("data.a || data.b", "write or"),
        ("!data.a", "write not"),
        ("data.a === 1", "write =="),
        ("data.a !== 1", "write !="),
        ("data.a <> 1", "write !="),
        ("data.a = 1", "write =="),
        ("data.a == null", "write is none"),
        ("data.a is null", "write is none"),
        ("data.a IS NOT NULL", "write is not none"),
        ("data.a == nil", "write is none"),
        ("data.a == TRUE", "write true"),
        ("data.a =~ 'x'", "glob"),
        ("data.a like 'x%'", "glob"),
        ("data.a matches 'x'", "glob"),
        ("data.a contains 'x'", "in data.x"),
        ("contains(data.a, 'x')", "in data.x"),
        ("data.a.includes('x')", "in data.x"),
        ("data.a.startsWith('x')", "prefix"),
        ("starts_with(data.a, 'x')", "prefix"),
        ("data.a.toLowerCase() == 'x'", "| lower"),
        ("size(data.a) > 1", "| length"),
        ("data.a.length > 1", "| length"),
        ("has(data.a)", "is defined"),
        ("exists(data.a)", "is defined"),
        ("data.a ? 1 : 2", "a if condition else b"),
        ("data.a ?? 1", "| default(x)"),
        ("data.a between 1 and 2", "<= data.x <="),
        ("data.a == 1 AND data.b == 2", "write and"),
        ("NOT data.a", "write not"),
        ("payload.a == 1", "data.x"),
        ("event.data.a == 1", "data.x"),
        ("headers.a == 'x'", "meta.headers.x"),
        ("$.a > 1", "data.x"),
        ("data.a == “x”", "straight quotes"),
        ("data.a > '100'", "write 100"),
        ("{{ data.a && data.b }}", "write and"),
    ],
)
def test_an_expression_of_another_language_is_named_with_ours(expression: str, cure: str, tmp_path: Path) -> None:
    quoted = expression.replace('"', '\\"')
    (found,) = said(tmp_path, f'when: "{quoted}"')
    assert cure in found.partition("(")[2]
    (found,) = (
        complaints(tmp_path, RULE.format(rule="source: js").replace("a: b", f'a: "{{{{ {quoted} }}}}"'))
        if ("{{" not in expression)
        else (found,)
    )
    assert cure in found.partition("(")[2]


@pytest.mark.parametrize(
    "expression",
    ["data.a == 'x && y'", "data.like == 1 and data.contains", "'a' in data.list", "data.x is none or not data.y",
     "data.day > '2026-03-01'", "data.a is defined", "data.null == 1", "(data.x | length) > 2"],
)  # fmt: skip
def test_an_expression_of_ours_is_clean(expression: str, tmp_path: Path) -> None:
    assert said(tmp_path, f'when: "{expression}"') == []


@pytest.mark.parametrize("path", ["a.b", "a.b.c", "$.a", "$a", "a[0]", "a[].b", "lines[*].price"])
def test_a_path_of_another_language_is_taken_for_one_field_and_said_to_be(path: str, tmp_path: Path) -> None:
    (complaint,) = said(tmp_path, f'match: {{ data: {{ "{path}": 1 }} }}')
    assert (
        f"rules[0].match.data.{path}: warning: taken for one field named {path} (a path is written in steps"
        in complaint
    )


@pytest.mark.parametrize("name", ["a", "first-name", "@attr", "#text", "a b", "urn:x", "1.5-2"])
def test_a_name_that_is_no_path_is_a_field(name: str, tmp_path: Path) -> None:
    assert [each for each in said(tmp_path, f'match: {{ data: {{ x: 1, "{name}": 1 }} }}') if "one field" in each] == []


@pytest.mark.parametrize(
    "when, cure",
    [
        ("data.first-name == 'a'", "write data['first-name'] for a name with a hyphen"),
        ("data.@id == 'a'", "write data['@x'] for such a name"),
        ("data.a | default: 'x' == 'x'", "write | default('x')"),
        ("data.a | round(2, 'up') == 1", "round: is rounded by common, ceil or floor only"),
        ("data.a | round(precision=5000) == 1", "round: is rounded to up to"),
    ],
)
def test_an_expression_that_cannot_be_right_has_its_cure(when: str, cure: str, tmp_path: Path) -> None:
    (complaint,) = said(tmp_path, f'when: "{when}"')
    assert cure in complaint
