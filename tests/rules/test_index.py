"""The index finds every rule that matches, and few others."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.engine import Rule, RuleSet
from rules.errors import TypeClashError
from rules.event import Event, Opaque
from rules.match import group, index
from rules.match.group import Group
from rules.match.index import Index
from rules.match.patterns import Match, compile_match
from rules.problems import Problems
from tests.rules.support import NOW, event, node

TEXTS = st.sampled_from(
    ["", "a", "b", "ab", "abc", "A", "Ab", "ß", "SS", "İ", "K", "10.0.0.7", "::ffff:10.0.0.7", "fe80::1"]
)
NUMBERS = st.sampled_from([0, 1, 2, 10, 0.95, 2.5, -1.0, 1e22, 2**53, 2**53 + 1, 10**400])
SCALARS = TEXTS | NUMBERS | st.sampled_from([True, False, None])
BOUNDS = st.lists(NUMBERS, min_size=2, max_size=2) | st.lists(TEXTS, min_size=2, max_size=2)
GLOBS = st.sampled_from(["*", "a*", "*c", "a*c", "?b", "[ab]", "ab", "*b*", "a**", ""])
NETWORKS = st.sampled_from(["10.0.0.0/24", "10.0.0.7/32", "fe80::/10", "::ffff:0:0/96", "::/0", "0.0.0.0/0"])
CASES = TEXTS | st.fixed_dictionaries({}, optional={"prefix": TEXTS, "suffix": TEXTS, "glob": GLOBS}).filter(bool)


def _one_or_more(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return items | st.lists(items, min_size=1, max_size=3)


def _operators(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any operators beside each other, and each by itself."""
    operands = {
        **dict.fromkeys(("gt", "gte", "lt", "lte"), NUMBERS | TEXTS),
        "between": BOUNDS,
        "prefix": _one_or_more(TEXTS),
        "suffix": _one_or_more(TEXTS),
        "glob": _one_or_more(GLOBS),
        "cidr": _one_or_more(NETWORKS),
        "ignore_case": _one_or_more(CASES),
        "exists": st.booleans(),
        "not": inner,
        "any": inner,
        "all": inner,
    }
    single = [st.fixed_dictionaries({name: operand}) for name, operand in operands.items()]
    return st.one_of(*single, st.fixed_dictionaries({}, optional=operands).filter(bool))


VALUE_PATTERNS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3) | _operators(inner)
    ),
    max_leaves=5,
)
PATTERNS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["t", "u"]) | st.lists(st.sampled_from(["t", "u", "v"]), min_size=1, max_size=2),
        "data": VALUE_PATTERNS | st.dictionaries(st.sampled_from("xyz"), VALUE_PATTERNS, max_size=3),
    },
)
SOURCES = st.none() | st.frozensets(st.sampled_from(["bank", "hr"]), min_size=1)
ODD = st.sampled_from(
    [
        Decimal("0.95"),
        Decimal("1.0"),
        10**22,
        float("nan"),
        Decimal("NaN"),
        float("inf"),
        Decimal("1e400"),
        Opaque("protobuf"),
        b"a",
    ]
)
DATA = st.recursive(
    SCALARS | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)  # a busy machine is no failure
@given(
    patterns=st.lists(st.tuples(SOURCES, PATTERNS), max_size=12),
    origin=st.sampled_from(["bank", "hr", "other"]),
    type_=st.sampled_from(["t", "u", "v", "w"]),
    data=DATA,
    wide=st.sampled_from([0, 32]),
    few=st.fixed_dictionaries(
        {
            "FEW": st.sampled_from([1, 2, 16]),
            "_LONELY": st.sampled_from([0, 2]),
            "_FEW_DOUBTED": st.sampled_from([0, 64]),
        }
    ),
)
@example(
    patterns=[(None, {"data": {"x": {"not": []}}})] * 4, origin="bank", type_="t", data={"x": "a"}, wide=32, few={}
)
@example(
    patterns=[(None, {"type": "t"}), (None, {"type": "t", "data": {"not": {"gt": 0}}})],
    origin="bank", type_="t", data="a", wide=0, few={"FEW": 1, "_LONELY": 0},
)  # fmt: skip
def test_the_index_finds_what_trying_every_rule_finds(
    patterns: list[tuple[frozenset[str] | None, Any]],
    origin: str,
    type_: str,
    data: Any,
    wide: int,
    few: dict[str, int],
) -> None:
    rules = [
        Rule(name=str(position), sources=sources, match=compile_match(node(pattern), Problems()))
        for position, (sources, pattern) in enumerate(patterns)
    ]
    subject = Event(id="1", origin=origin, source="/", type=type_, time=NOW, data=data)
    with pytest.MonkeyPatch.context() as patch:
        for name, number in few.items():
            patch.setattr(index, name, number)
        patch.setattr(group, "_WIDE", wide)  # and objects with a few fields as those with many
        decision = RuleSet(rules).route(subject, now=NOW)
        _check_group([rule.match for rule in rules], subject)
    answers = {rule.name: _answer(rule, subject) for rule in rules}
    assert decision.matched == tuple(name for name, answer in answers.items() if answer is True)
    assert decision.errors == tuple(name for name, answer in answers.items() if answer is None)


def test_of_an_object_with_few_fields_only_rules_that_name_one_of_them_are_asked() -> None:
    """Rules name a hundred fields, as those of many kinds of events do; an event has a few of them."""
    patterns: list[Any] = [{"data": {f"field{number}": "x"}} for number in range(100)]
    patterns += [{"data": {"field1": "x", "field2": "x"}}, {"data": {"field3": {"exists": False}}}]
    matches = [compile_match(node(pattern), Problems()) for pattern in patterns]
    asked = Group(range(len(matches)), [match.asked() for match in matches])

    def found(data: Any) -> dict[int, bool]:
        return dict(asked.find(event(data)))

    assert found({}) == {101: True}
    assert found({"field7": "x", "other": 1}) == {7: True, 101: True}
    assert found({"field7": "y"}) == {101: True}
    assert found({"field1": "x"}).keys() - {100} == {1, 101}
    assert found({"field1": "x"})[1]
    assert not found({"field1": "x"}).get(100, False)
    assert found({"field1": ["y", "x"], "field2": "x", "field3": None}).keys() == {1, 2, 100}


def _check_group(matches: list[Match], subject: Event) -> None:
    """All of them asked together: each that matches is found, and none is certain that does not."""
    found = dict(Group(range(len(matches)), [match.asked() for match in matches]).find(subject))
    answers = [_answer(Rule(name="", match=match), subject) for match in matches]
    assert [position for position, answer in enumerate(answers) if answer is not False and position not in found] == []
    assert [position for position, is_certain in found.items() if is_certain and answers[position] is not True] == []


def _answer(rule: Rule, subject: Event) -> bool | None:
    try:
        return rule.matches(subject)
    except TypeClashError:
        return None


def _index_of(*patterns: Any, sources: tuple[frozenset[str] | None, ...] = ()) -> Index:
    matches = [compile_match(node(pattern), Problems()) for pattern in patterns]
    return Index(list(zip(sources or [None] * len(matches), matches, strict=True)))


def _candidates(of: Index, subject: Event) -> list[int]:
    return sorted({position for _, _, positions in of.candidates(subject) for position in positions})


def test_a_rule_is_a_candidate_only_where_its_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_LONELY", 0)
    of = _index_of(
        {"type": "debit"}, {"type": "credit"}, {"type": "debit"}, {"data": {"kind": ["x", "y"]}}, {},
        sources=(frozenset({"bank"}), frozenset({"bank"}), frozenset({"hr"}), None, None),
    )  # fmt: skip
    assert _candidates(of, event({"kind": ["y", "x"]})) == [0, 3, 4]
    assert _candidates(of, event({"kind": "z"}, type="other")) == [4]


@pytest.mark.slow
def test_ten_thousand_rules_of_one_type_are_told_apart_by_another_field() -> None:
    of = _index_of(*({"type": "debit", "data": {"id": str(number)}} for number in range(10_000)))
    assert [(positions, rest is None) for rest, _, positions in of.candidates(event({"id": "77"}))] == [((77,), False)]


CLAUSES: list[tuple[Any, Any, Any]] = [
    ("c{n}", "c7", "c"),
    (["c{n}", "d{n}"], "d7", "d"),
    ({"ignore_case": "Straße {n}"}, "STRASSE 7", "STRASSE"),
    ({"prefix": "orders/{n}/"}, "orders/7/items", "orders/7"),
    ({"suffix": "-{n}.pdf"}, "invoice-7.pdf", "invoice-7.PDF"),
    ({"ignore_case": {"prefix": "Inv-{n}-"}}, "INV-7-3", "INV-7"),
    ({"glob": "/api/{n}/*/items"}, "/api/7/latest/items", "/api/7x/latest/items"),
    ({"between": ["{n}a", "{n}b"]}, "7aa", "7c"),
    ({"cidr": "10.0.{n}.0/24"}, "10.0.7.9", "10.1.7.9"),
    ({"cidr": "2001:db8:{n}::/48"}, "2001:db8:7::1", "2001:db7::"),
    ({"not": "x", "prefix": "{n}/"}, "7/a", "x"),
    ({"all": "c{n}"}, ["c7", "c7"], ["d7"]),
    ({"any": {"sku": "k{n}", "quantity": 2}}, [{"sku": "k7", "quantity": 2}, {"sku": "k"}], [{"sku": "k"}]),
]


@pytest.mark.parametrize(("pattern", "hit", "miss"), CLAUSES, ids=str)
def test_of_a_thousand_rules_the_one_that_a_value_fits_is_a_candidate(pattern: Any, hit: Any, miss: Any) -> None:
    of = _index_of(
        *({"data": {"x": json.loads(json.dumps(pattern).replace("{n}", str(number)))}} for number in range(250))
    )
    assert _candidates(of, event({"x": hit})) == [7]
    assert _candidates(of, event({"x": miss})) == []
    assert _candidates(of, event({"x": None})) == []
    assert _candidates(of, event({})) == []


@pytest.mark.parametrize("number", [7, 7.0, Decimal("7"), Decimal("7.00")])
def test_numbers_of_all_kinds_find_their_rule(number: Any) -> None:
    assert _candidates(_index_of(*({"data": {"x": each}} for each in range(250))), event({"x": number})) == [7]
    ranges = [{"data": {"x": {"gte": each, "lt": each + 1}}} for each in range(250)]
    assert _candidates(_index_of(*ranges), event({"x": number})) == [7]


def test_rules_whose_fields_are_there_are_found_by_that() -> None:
    of = _index_of(*({"data": {f"field{number}": {"exists": True}}} for number in range(250)))
    assert [(positions, rest) for rest, _, positions in of.candidates(event({"field7": None, "x": 1}))] == [
        ((7,), None)
    ]


def test_a_value_of_another_kind_than_many_rules_compare_is_an_error_of_those_that_fit_otherwise() -> None:
    """Nobody tries them all for that: the others are left out by what else they ask."""
    patterns = [{"data": {"x": {"gte": each, "lt": each + 1}, "y": f"y{each % 100}"}} for each in range(500)]
    of = _index_of(*patterns)
    assert len(_candidates(of, event({"x": "text", "y": "y7"}))) == 5


def test_rules_that_ask_the_same_are_tried_once_and_answer_each_for_itself() -> None:
    patterns = [{"type": "order", "data": {"x": {"gte": 1}}}, {"type": "order"}] * 2 + [{"type": "order"}]
    matches = [compile_match(node(pattern), Problems()) for pattern in patterns]
    rules = [Rule(name=str(number), match=match, stop=number == 3) for number, match in enumerate(matches)]
    index_of = _index_of(*patterns)
    assert sorted(positions for _, _, positions in index_of.candidates(event({"x": 2}, type="order"))) == [
        (0, 2),
        (1, 3, 4),
    ]
    decision = RuleSet(rules).route(event({"x": 2}, type="order"), now=NOW)
    assert (decision.matched, decision.errors) == (("0", "1", "2", "3"), ())
    decision = RuleSet(rules[::-1]).route(event({"x": "text"}, type="order"), now=NOW)
    assert (decision.matched, decision.errors) == (("4", "3"), ())
    decision = RuleSet(rules).route(event({"x": "text"}, type="order"), now=NOW)
    assert (decision.matched, decision.errors) == (("1", "3"), ("0", "2"))


def test_a_rule_of_two_ranges_is_found_where_they_overlap() -> None:
    asked = [compile_match(node({"data": [{"gte": 1}, {"gte": 5}]}), Problems()).asked()]
    found = [[position for position, _ in Group([0], asked).find(event(value))] for value in (3, 7, 0.5)]
    assert found == [[0], [0], []]


def test_texts_that_many_rules_name_are_kept_once() -> None:
    """A rule compares with what other rules have just compared with, which is still in the processor's cache."""
    patterns = [{"data": {"x": f"x{each}", "state": "".join(["op", "en"]), "kind": ["a", "b"]}} for each in range(2)]
    first, second = (compile_match(node(pattern), Problems()).constants for pattern in patterns)
    assert first[0] != second[0]
    assert [one is other for one, other in zip(first[1:], second[1:], strict=True)] == [True, True]
