"""The single conditions of a rule, each with its place and its answer."""

from pathlib import Path
from typing import Any

import pytest

from rules.engine import Rule
from tests.rules.support import event, load


def rule_of(tmp_path: Path, conditions: str) -> Rule:
    rules, problems = load(f"rules: [ {{ name: a, {conditions}, stop: true }} ]", tmp_path)
    assert not [problem for problem in problems if "warning" not in problem]
    return rules.rules[0]


@pytest.mark.parametrize(
    "match, leaves",
    [
        ("{ type: a }", [("type", '"a"', "type")]),
        ("{ type: [a, b] }", [("type", '["a", "b"]', "type")]),
        (
            "{ data: { n: { gte: 1, lt: 5 }, s: { not: x } } }",
            [
                ("data.n.gte", "gte: 1", "data.n.gte"),
                ("data.n.lt", "lt: 5", "data.n.lt"),
                ("data.s.not", 'not: "x"', "data.s.not"),
            ],
        ),
        (
            "{ data: [ { a: 1, b: 2 }, { c: [ 3, { gt: 9 } ] } ] }",
            [
                ("data[0].a", "1", "data"),
                ("data[0].b", "2", "data"),
                ("data[1].c[0]", "3", "data"),
                ("data[1].c[1].gt", "gt: 9", "data"),
            ],
        ),
        ("{ data: { a: {} } }", [("data.a", "{}", "data.a")]),
    ],
)
def test_a_match_is_taken_apart_into_conditions_that_hold_no_smaller_one(
    match: str, leaves: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    of_match, of_when = rule_of(tmp_path, f"match: {match}").conditions()
    assert [(each.place.key, each.wanted, each.choice) for each in of_match] == [
        (f"rules[0].match.{key}", wanted, f"rules[0].match.{choice}") for key, wanted, choice in leaves
    ]
    assert all(each.place.mark.file.endswith(".yaml") and each.place.mark.line == 1 for each in of_match)
    assert of_when == ()


@pytest.mark.parametrize(
    "data, answers",
    [
        ({"list": [{"n": 1}, {"n": 7}]}, [True, True]),
        ({"list": [{"n": 9}]}, [False, True]),
        ({"list": []}, [False, False]),
        ({"list": {"n": 3}}, [True, False]),
        ({}, [False, False]),
        ({"list": [{"n": "text"}]}, [None, None]),
    ],
)
def test_each_condition_answers_for_itself_also_within_an_array(
    data: dict[str, Any], answers: list[bool | None], tmp_path: Path
) -> None:
    (below, above), _ = rule_of(tmp_path, "match: { data: { list: { n: { lt: 5, gt: 6 } } } }").conditions()
    assert [below.holds(event(data=data)), above.holds(event(data=data))] == answers


@pytest.mark.parametrize(
    "when, data, asked",
    [
        ("data.a", {"a": 1}, ["data.a"]),
        ("not data.a", {"a": 1}, ["not data.a"]),
        ("data.a == 1 and data.b == 2", {"a": 1, "b": 2}, ["data.a == 1", "data.b == 2"]),
        ("data.a == 1 and data.b == 2", {"a": 2}, ["data.a == 1"]),
        ("data.a == 1 or not (data.b or data.c)", {"a": 1}, ["data.a == 1"]),
        ("data.a == 1 or not (data.b or data.c)", {"a": 2, "b": 0, "c": 1}, ["data.a == 1", "data.b", "data.c"]),
        ("data.a == 1 and data.b == 2", {}, ["data.a == 1"]),
    ],
)
def test_of_a_when_those_operands_are_asked_that_its_evaluation_comes_to(
    when: str, data: dict[str, Any], asked: list[str], tmp_path: Path
) -> None:
    rule = rule_of(tmp_path, f'when: "{when}"')
    assert rule.when is not None
    _, of_when = rule.conditions()
    assert [of_when[position].wanted for position in rule.when.asked(event(data=data))] == asked
