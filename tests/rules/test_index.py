"""The index finds every rule that matches, and few others."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine import Rule, RuleSet
from rules.errors import TypeClashError
from rules.event import Event
from rules.match.index import Index, Key
from rules.match.patterns import compile_match
from rules.node import Mark, Node
from rules.problems import Problems
from tests.rules.support import NOW, event

HERE = Mark("", 1, 1)

VALUES = st.sampled_from(["a", "b", "c", "A", "B", 1, 2.5, True, None])
LEAVES = VALUES | st.lists(VALUES, min_size=1, max_size=3)
FOLDED = st.sampled_from(["A", "b", ["a", "C"]])
OPERATORS = (
    st.fixed_dictionaries({"prefix": st.just("a")})
    | st.fixed_dictionaries({"not": st.just("b")})
    | st.fixed_dictionaries({"ignore_case": FOLDED}, optional={"prefix": st.just("a")})
)
FIELDS = st.dictionaries(st.sampled_from("xyz"), LEAVES | OPERATORS, max_size=3)
PATTERNS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["t", "u"]) | st.lists(st.sampled_from(["t", "u", "v"]), min_size=1, max_size=2),
        "data": FIELDS | st.dictionaries(st.sampled_from("pq"), FIELDS, max_size=2),
    },
)
SOURCES = st.none() | st.frozensets(st.sampled_from(["bank", "hr"]), min_size=1)
DATA = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyzpq"), inner, max_size=3)
)


def node(value: Any) -> Node:
    match value:
        case dict():
            value = {key: node(entry) for key, entry in value.items()}
        case list():
            value = [node(item) for item in value]
    return Node(key="", mark=HERE, key_mark=HERE, value=value)


@settings(deadline=None)  # a busy machine is no failure
@given(
    patterns=st.lists(st.tuples(SOURCES, PATTERNS), max_size=8),
    origin=st.sampled_from(["bank", "hr", "other"]),
    type_=st.sampled_from(["t", "u", "v", "w"]),
    data=DATA,
)
def test_the_index_finds_what_trying_every_rule_finds(
    patterns: list[tuple[frozenset[str] | None, Any]], origin: str, type_: str, data: Any
) -> None:
    rules = [
        Rule(name=str(position), sources=sources, match=compile_match(node(pattern), Problems()))
        for position, (sources, pattern) in enumerate(patterns)
    ]
    subject = Event(id="1", origin=origin, source="/", type=type_, time=NOW, data=data)
    tried = tuple(rule.name for rule in rules if _matches(rule, subject))
    assert RuleSet(rules).route(subject, now=NOW).matched == tried


def _matches(rule: Rule, subject: Event) -> bool:
    try:
        return rule.matches(subject)
    except TypeClashError:
        return False


def test_a_rule_is_a_candidate_only_where_its_text_is() -> None:
    keys = [
        Key(sources=frozenset({"bank"}), required={("type",): frozenset({"debit"})}.items()),
        Key(sources=frozenset({"bank"}), required={("type",): frozenset({"credit"})}.items()),
        Key(sources=frozenset({"hr"}), required={("type",): frozenset({"debit"})}.items()),
        Key(sources=None, required={("data", "kind"): frozenset({"x", "y"})}.items()),
        Key(sources=None, required=()),
    ]
    assert Index(keys).candidates(event({"kind": ["y", "x"]})) == [0, 3, 4]
    assert Index(keys).candidates(event({"kind": "z"}, type="other")) == (4,)


@pytest.mark.slow
def test_ten_thousand_rules_of_one_type_are_told_apart_by_another_field() -> None:
    keys = [
        Key(sources=None, required={("type",): frozenset({"debit"}), ("data", "id"): frozenset({str(number)})}.items())
        for number in range(10_000)
    ]
    assert list(Index(keys).candidates(event({"id": "77"}))) == [77]


def test_rules_that_ignore_case_are_found_by_their_texts() -> None:
    patterns = [{"data": {"x": {"ignore_case": text}}} for text in ("ACME", "Straße", "other")]
    keys = [
        Key(sources=None, required=tuple(compile_match(node(pattern), Problems()).required())) for pattern in patterns
    ]
    index = Index(keys)
    assert [list(index.candidates(event({"x": text}))) for text in ("acme", "STRASSE", "none")] == [[0], [1], []]
