"""What rules do to each other is warned of, each thing once: `stop: true` in one file that ends rules of another, a rule
that stands there twice, and many that every event is held against."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.config.load import check

BASE = """
sources:
  shop:
    http: { path: /in/shop, auth: { bearer: "${env:TOKEN}" } }
    map: { id: "{{ data.id }}", type: "shop.{{ data.kind }}" }
  bank:
    http: { path: /in/bank, auth: { bearer: "${env:TOKEN}" } }
    map: { id: "{{ data.id }}", type: bank.posting }
hubs: { app: {} }
"""
PUSH = "push: { to: x, with: { a: b } }"


def said(directory: Path, *files: Sequence[str]) -> list[str]:
    """What `check` says of a directory with a file for each group of rules, in order: a.yaml, b.yaml, …"""
    (directory / "0.yaml").write_text(BASE)
    for name, rules in zip("abcdefg", files, strict=False):
        written = "".join(f"- {{ name: {name}{index}, {rule} }}\n" for index, rule in enumerate(rules))
        (directory / f"{name}.yaml").write_text("rules:\n" + written)
    _, problems = check(directory, environ={"TOKEN": "canary"})
    return [str(problem).replace(f"{directory}/", "") for problem in problems]


def test_a_rule_that_stops_names_the_rules_of_other_files_that_it_can_end(tmp_path: Path) -> None:
    stop = f"source: shop, match: {{ data: {{ vip: true }} }}, {PUSH}, stop: true"
    pushes = [f"push: {{ to: x{n}, with: {{ a: b }} }}" for n in range(5)]
    others = [[f"source: [shop, bank], {pushes[0]}", f"source: shop, {PUSH}"], *([push] for push in pushes[1:4])]
    assert said(tmp_path, [stop, f"source: shop, {pushes[4]}"], *others) == [
        f"a.yaml:2:{len('- { name: a0, ') + len(stop) - 3}: rules[0].stop: warning: ends rules of other files that fit the "
        "same event, such as b0 (b.yaml:2), c0 (c.yaml:2), d0 (d.yaml:2) and 1 files more (match less here, or have these "
        "files read first: those of a directory are read by their names)"
    ]


@pytest.mark.parametrize(
    ("stop", "later", "may_end"),
    [
        ("match: { type: shop.a }", "match: { type: shop.a, data: { n: 1 } }", True),
        ("match: { type: shop.a }", "match: { data: { n: 1 } }", True),
        ("match: { type: shop.a }", "match: { type: [shop.b, shop.a] }", True),
        ("match: { type: shop.a }", "match: { type: shop.b }", False),
        ("match: { type: [shop.a, shop.c] }", "match: { type: shop.b }", False),
        ("match: { type: { prefix: shop.a } }", "match: { type: shop.b }", False),
        ("match: { type: { prefix: shop.a } }", "match: { type: shop.ab }", True),
        ("match: { type: { prefix: shop.a } }", "match: { type: { prefix: shop.b } }", False),
        ("match: { type: { prefix: shop.a } }", "match: { type: { suffix: b } }", True),
        ("match: { type: { ignore_case: SHOP.A } }", "match: { type: shop.a }", True),
        ("match: { type: { ignore_case: SHOP.A } }", "match: { type: shop.b }", False),
        ("match: { data: { n: { gte: 100 } } }", "match: { data: { n: { lt: 100 } } }", False),
        ("match: { data: { n: { gte: 100 } } }", "match: { data: { n: { lte: 100 } } }", True),
        ("match: { data: { n: { between: [1, 5] } } }", "match: { data: { n: { gt: 0, lt: 1 } } }", False),
        ("match: { data: { n: [1, 2] } }", "match: { data: { n: { gt: 2 } } }", False),
        ("match: { data: { n: { exists: false } } }", "match: { data: { n: 2 } }", False),
        ("match: { data: { n: { not: [2] } } }", "match: { data: { n: 2 } }", False),
        ("match: { data: { n: { not: { gt: 2 } } } }", "match: { data: { n: { gt: 2 } } }", False),
        ("match: { data: { n: [ { lt: 1 }, { gt: 5 } ] } }", "match: { data: { n: { between: [2, 3] } } }", False),
        ("match: { data: { n: { m: 1 } } }", "match: { data: { n: { m: 2 } } }", False),
        ("match: { data: { n: { any: { gt: 5 } } } }", "match: { data: { n: 2 } }", False),
        ("match: { data: { n: { any: { gt: 5 } } } }", "match: { data: { n: { all: { lt: 2 } } } }", True),
        ("source: shop, when: data.n == 1", "source: shop, when: data.n == 2", True),
        ("source: shop", "source: bank", False),
        ("source: shop", "source: [bank, shop]", True),
        ("match: { type: shop.a }", "source: bank", False),  # which makes no such type
        ("match: { type: bank.posting }", "source: shop", False),
        ("match: { type: bank.posting }", "source: bank", True),
    ],
)
def test_only_what_an_event_may_fit_both_of_is_warned_of(stop: str, later: str, may_end: bool, tmp_path: Path) -> None:
    found = said(tmp_path, [f"{stop}, {PUSH}, stop: true"], [f"{later}, {PUSH}"])
    assert [", such as b0 (b.yaml:2) (" in line for line in found if "ends rules of other" in line] == [True] * may_end


def test_what_a_file_does_to_its_own_rules_or_to_those_before_it_is_not_said(tmp_path: Path) -> None:
    stop = f"match: {{ data: {{ vip: true }} }}, {PUSH}, stop: true"
    assert said(tmp_path, [f"source: shop, {PUSH}"], [stop, f"source: bank, {PUSH}"]) == []


@pytest.mark.parametrize(
    ("rule", "again", "is_same"),
    [
        (f"source: shop, {PUSH}", f"source: shop, {PUSH}", True),
        (f"source: shop, owner: x, {PUSH}", f"source: [shop], {PUSH}", True),
        (f"match: {{ data: {{ n: 1, m: 2 }} }}, {PUSH}", f"match: {{ data: {{ n: 1, m: 2 }} }}, {PUSH}", True),
        (f"when: data.n == 1, {PUSH}", f"when: data.n == 1, {PUSH}", True),
        (
            "push: { to: 'a && b', with: { a: '{{ data.n }}' } }",
            "push: { to: 'a && b', with: { a: '{{ data.n }}' } }",
            True,
        ),
        (
            "push: { to: { user: '{{ data.n }}' }, with: { a: b } }",
            "push: { to: { user: '{{ data.n }}' }, with: { a: b } }",
            True,
        ),
        (f"source: shop, {PUSH}", f"source: bank, {PUSH}", False),
        (f"when: data.n == 1, {PUSH}", f"when: data.n == 2, {PUSH}", False),
        (f"match: {{ data: {{ n: 1 }} }}, {PUSH}", f"match: {{ data: {{ n: true }} }}, {PUSH}", False),
        ("push: { to: a, with: { a: b } }", "push: { to: b, with: { a: b } }", False),
        ("push: { to: a, with: { a: b } }", "push: { to: a, with: { a: c } }", False),
        ("push: { to: a, with: { a: b } }", "push: { to: a, with: { a: b }, ttl: 1h }", False),
        ("push: { to: a, with: { a: b } }", "push: { to: { user: a }, with: { a: b } }", False),
        (
            "push: { to: a, with: { a: b } }",
            "push: { to: a, with: { a: b }, native: { wns: { payload: raw } } }",
            False,
        ),
    ],
)
def test_a_rule_that_stands_there_twice_is_named(rule: str, again: str, is_same: bool, tmp_path: Path) -> None:
    assert (
        said(tmp_path, [rule], [again])
        == [
            "b.yaml:2:3: rules[0]: warning: is a0 (a.yaml:2) under another name: each event is pushed twice "
            "(leave one of them out)"
        ]
        * is_same
    )


def test_what_is_not_known_without_secrets_is_not_taken_for_the_same(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        BASE
        + "".join(f"- {{ name: r{x}, push: {{ to: '${{env:{x}}}', with: {{ a: b }} }} }}\n" for x in "AB").join(
            ["rules:\n", ""]
        )
    )
    assert check(tmp_path / "c.yaml", environ={}, no_secrets=True)[1] == []


@pytest.mark.parametrize(("number", "is_said"), [(99, False), (100, True)])
def test_many_rules_that_every_event_is_held_against_are_warned_of_once(
    number: int, is_said: bool, tmp_path: Path
) -> None:
    asks = [
        f"match: {{ data: {{ n: {{ glob: '*x{n}*' }} }} }}" if n % 2 else f"when: data.n > {n}" for n in range(number)
    ]
    tried = [f"{ask}, push: {{ to: x, with: {{ a: '{n}' }} }}" for n, ask in enumerate(asks)]
    found = [
        f"match: {{ data: {{ n: {ask} }} }}, push: {{ to: y, with: {{ a: '{n}' }} }}"
        for n in range(100)
        for ask in (f"x{n}", f"{{ gte: {n} }}")
    ]
    warning = (
        "a.yaml:202:3: rules[200]: warning: is one of 100 rules that are tried for every event of shop, bank, such as "
        "a200, a201, a202, about 0.2 ms an event: `when`, and a glob with a star at both ends, are asked of each event (a "
        "text, number, prefix, suffix or range in match, such as type, lets an event be held against the rules that it "
        "fits alone)"
    )
    assert said(tmp_path, [*found, *tried]) == [warning] * is_said


@pytest.mark.parametrize(("number", "is_said"), [(99, False), (100, True)])
def test_many_rules_that_ask_for_the_same_and_are_told_apart_by_when_alone_are_warned_of_once(
    number: int, is_said: bool, tmp_path: Path
) -> None:
    """What nearly every event has, such as a field that exists, tells them apart no more than `when` does."""
    crowd = [
        f"match: {{ data: {{ kind: order, n{n}: {{ exists: true }} }} }}, when: data.c == 'c{n}',"
        f" push: {{ to: x, with: {{ a: '{n}' }} }}"
        for n in range(number)
    ]
    apart = [
        f"match: {{ data: {{ kind: order, c: c{n} }} }}, when: data.n > 1, push: {{ to: y, with: {{ a: '{n}' }} }}"
        for n in range(number)
    ]
    alike = [f"match: {{ data: {{ kind: parcel }} }}, push: {{ to: z{n}, with: {{ a: b }} }}" for n in range(number)]
    warning = (
        "a.yaml:2:3: rules[0]: warning: is one of 100 rules whose match asks for the same data.kind, such as a0, a1, a2: "
        "an event that fits is tried on all of them, about 0.2 ms an event (what tells these rules apart, such as a "
        "customer or an amount, stands in match rather than in when, or in a glob with a star at both ends)"
    )
    assert said(tmp_path, [*crowd, *apart, *alike]) == [warning] * is_said
