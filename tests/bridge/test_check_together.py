"""What rules do to each other is warned of, each thing once: `stop: true` in one file that ends rules of another."""

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
    others = [[f"source: [shop, bank], {PUSH}", f"source: shop, {PUSH}"], *[[PUSH]] * 3]
    assert said(tmp_path, [stop, f"source: shop, {PUSH}"], *others) == [
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
