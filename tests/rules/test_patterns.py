"""Tests of a value: what `match` can say."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rules.errors import TypeClashError
from rules.match.patterns import Match, compile_match
from rules.problems import Problems
from tests.rules.support import document, event, shown

CLASH = "clash"
NAMES = [{"first": "Anna", "last": "Smith"}, {"first": "Bob", "last": "Jones"}]


def answer(pattern: str, data: Any, directory: Path) -> bool | str:
    root, problems = document(f"match: {pattern}", directory)
    assert problems == []
    compiling = Problems()
    match = compile_match(root.find(("match",)), compiling)
    assert shown(compiling, directory) == []
    try:
        return match.test(event(data, subject="account/7", meta={"routing_key": "a.b"}))
    except TypeClashError:
        return CLASH


@pytest.mark.parametrize(
    "pattern, data, expected",
    [
        # equality but for case
        ("{ data: { a: { ignore_case: acme } } }", {"a": "ACME"}, True),
        ("{ data: { a: { ignore_case: ACME } } }", {"a": "acme"}, True),
        ("{ data: { a: { ignore_case: [Acme, b] } } }", {"a": "B"}, True),
        ("{ data: { a: { ignore_case: acme } } }", {"a": "acmes"}, False),
        ("{ data: { a: { ignore_case: straße } } }", {"a": "STRASSE"}, True),
        ("{ data: { a: { ignore_case: ΟΔΟΣ } } }", {"a": "οδος"}, True),
        ("{ data: { a: { ignore_case: { prefix: Ac } } } }", {"a": "aCME"}, True),
        ("{ data: { a: { ignore_case: { prefix: [x, AC], suffix: me } } } }", {"a": "ACME"}, True),
        ("{ data: { a: { ignore_case: { prefix: AC, suffix: x } } } }", {"a": "ACME"}, False),
        ("{ data: { a: { ignore_case: { glob: '*.PDF' } } } }", {"a": "x.Pdf"}, True),
        ("{ data: { a: { ignore_case: [x, { prefix: AC }] } } }", {"a": "acme"}, True),
        ("{ data: { a: { ignore_case: acme } } }", {"a": ["x", "ACME"]}, True),
        ("{ data: { a: { not: { ignore_case: [b2b, test] } } } }", {"a": "TEST"}, False),
        ("{ data: { a: { not: { ignore_case: [b2b, test] } } } }", {"a": "shop"}, True),
        ("{ data: { a: { any: { ignore_case: x } } } }", {"a": ["X", "y"]}, True),
        ("{ data: { a: { all: { ignore_case: x } } } }", {"a": ["X", "x"]}, True),
        ("{ data: { a: { all: { ignore_case: x } } } }", {"a": ["X", "y"]}, False),
        ("{ data: { a: { ignore_case: ACME, prefix: a } } }", {"a": "acme"}, True),
        ("{ data: { a: { ignore_case: ACME, prefix: a } } }", {"a": "Acme"}, False),
        ("{ data: { a: { ignore_case: acme } } }", {}, False),
        ("{ data: { a: { ignore_case: acme } } }", {"a": None}, False),
        ("{ data: { a: { ignore_case: acme } } }", {"a": 5}, CLASH),
        ("{ subject: { ignore_case: ACCOUNT/7 } }", {}, True),
        # equality
        ("{ data: { a: x } }", {"a": "x"}, True),
        ("{ data: { a: x } }", {"a": "X"}, False),
        ("{ data: { a: x } }", {}, False),
        ("{ data: { a: x } }", None, False),
        ("{ data: { a: x } }", "x", False),
        ("{ data: { a: 1 } }", {"a": 1.0}, True),
        ("{ data: { a: 1 } }", {"a": True}, False),
        ("{ data: { a: 1 } }", {"a": "1"}, False),
        ("{ data: { a: 0.1 } }", {"a": Decimal("0.10")}, True),
        ("{ data: { a: true } }", {"a": True}, True),
        ("{ data: { a: true } }", {"a": 1}, False),
        ("{ data: { a: null } }", {"a": None}, True),
        ("{ data: { a: null } }", {}, False),
        ("{ data: text }", "text", True),
        # list is OR, keys are AND, nesting
        ("{ data: { a: [x, y] } }", {"a": "y"}, True),
        ("{ data: { a: [x, 1] } }", {"a": 1}, True),
        ("{ data: { a: [x, { prefix: y }] } }", {"a": "yes"}, True),
        ("{ data: { a: [x, { prefix: y }] } }", {"a": "no"}, False),
        ("{ data: { a: [x, { exists: false }] } }", {}, True),
        ("{ data: { a: x, b: y } }", {"a": "x", "b": "z"}, False),
        ("{ data: { a: { b: { c: x } } } }", {"a": {"b": {"c": "x"}}}, True),
        ("{ data: { a: { b: { c: x } } } }", {"a": {"b": "x"}}, False),
        ("{ type: debit, subject: { prefix: account/ } }", {}, True),
        ("{ type: credit, subject: { prefix: account/ } }", {}, False),
        ("{ meta: { routing_key: { glob: 'a.*' } } }", {}, True),
        ("{ time: { gte: 2026-03-02, lt: 2026-03-03 } }", {}, True),
        ("{}", {}, True),
        ("{ data: {} }", {"a": 1}, True),
        # text
        ("{ data: { a: { prefix: ab } } }", {"a": "abc"}, True),
        ("{ data: { a: { prefix: [x, ab] } } }", {"a": "abc"}, True),
        ("{ data: { a: { suffix: .pdf } } }", {"a": "x.pdf"}, True),
        ("{ data: { a: { suffix: .pdf } } }", {"a": "x.png"}, False),
        ("{ data: { a: { glob: 'o*.?' } } }", {"a": "order.1"}, True),
        ("{ data: { a: { glob: 'o*.?' } } }", {"a": "order.12"}, False),
        ("{ data: { a: { glob: 'a*' } } }", {"a": "a\nb"}, True),
        ("{ data: { a: { prefix: a } } }", {"a": 1}, CLASH),
        ("{ data: { a: { prefix: a } } }", {}, False),
        ("{ data: { a: { prefix: a } } }", {"a": None}, False),
        # order
        ("{ data: { a: { gt: 1 } } }", {"a": 1}, False),
        ("{ data: { a: { gte: 1 } } }", {"a": 1}, True),
        ("{ data: { a: { lt: 1 } } }", {"a": 0.5}, True),
        ("{ data: { a: { lte: 0.95 } } }", {"a": Decimal("0.95")}, True),
        ("{ data: { a: { gt: 0.95 } } }", {"a": Decimal("0.95")}, False),
        ("{ data: { a: { between: [1, 5] } } }", {"a": 5}, True),
        ("{ data: { a: { between: [1, 5] } } }", {"a": 5.1}, False),
        ("{ data: { a: { gte: '2026-01-01' } } }", {"a": "2026-03-01"}, True),
        ("{ data: { a: { gte: 1, lt: 5 } } }", {"a": 7}, False),
        ("{ data: { a: { gte: 1 } } }", {"a": "7"}, CLASH),
        ("{ data: { a: { gte: 1 } } }", {"a": True}, CLASH),
        ("{ data: { a: { gte: 'a' } } }", {"a": 7}, CLASH),
        ("{ data: { a: { gte: 1 } } }", {}, False),
        # not, exists
        ("{ data: { a: { not: x } } }", {"a": "y"}, True),
        ("{ data: { a: { not: [x, y] } } }", {"a": "y"}, False),
        ("{ data: { a: { not: { prefix: x } } } }", {"a": "y"}, True),
        ("{ data: { a: { not: x } } }", {}, False),
        ("{ data: { a: { not: { gt: 1 } } } }", {"a": "x"}, CLASH),
        ("{ data: { a: { exists: true } } }", {"a": None}, True),
        ("{ data: { a: { exists: true } } }", {}, False),
        ("{ data: { a: { exists: false } } }", {}, True),
        ("{ data: { a: { b: { exists: false } } } }", {}, True),
        ("{ data: { a: { b: { exists: false }, c: x } } }", {}, False),
        ("{ subject: { exists: true } }", {}, True),
        # addresses
        ("{ data: { a: { cidr: 10.0.0.0/8 } } }", {"a": "10.1.2.3"}, True),
        ("{ data: { a: { cidr: [192.168.0.0/16, '2001:db8::/32'] } } }", {"a": "2001:db8::1"}, True),
        ("{ data: { a: { cidr: 10.0.0.0/8 } } }", {"a": "11.1.2.3"}, False),
        ("{ data: { a: { cidr: 10.0.0.0/8 } } }", {"a": "10.1.2"}, CLASH),
        *(
            (
                f"{{ data: {{ a: {{ {'not: { ' * negated}cidr: '{network}'{' }' * negated} }} }} }}",
                {"a": address},
                answer,
            )
            for network, address, inside in (
                # IPv4 written as IPv6 is IPv4, on either side (RFC 4291, section 2.5.5.2)
                ("10.0.0.0/8", "::ffff:10.1.2.3", True),
                ("10.0.0.0/8", "::FFFF:0A01:0203", True),
                ("10.0.0.0/8", "0:0:0:0:0:ffff:10.1.2.3", True),
                ("10.0.0.0/8", "::ffff:11.1.2.3", False),
                ("::ffff:10.0.0.0/104", "10.1.2.3", True),
                ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True),
                ("::ffff:10.0.0.0/104", "11.1.2.3", False),
                ("::ffff:0:0/96", "192.0.2.1", True),
                ("::ffff:10.1.2.3", "10.1.2.3", True),
                ("2001:db8::/32", "::ffff:10.1.2.3", False),
                ("::/0", "10.1.2.3", False),
                ("::/0", "::ffff:10.1.2.3", False),
                ("::/0", "2001:db8::1", True),
                ("::/96", "::10.1.2.3", True),  # IPv4-compatible addresses are IPv6
                ("10.0.0.0/8", "::10.1.2.3", False),
                # a zone says on which link an address is, not which address
                ("fe80::/10", "fe80::1%eth0", True),
                ("10.0.0.0/8", "::ffff:10.1.2.3%eth0", True),
                ("10.0.0.0/8", " 10.1.2.3\n", True),
                # what is no address is in no network, and not outside of one either
                *(
                    ("10.0.0.0/8", text, CLASH)
                    for text in (
                        "010.1.2.3",
                        "10.1.2.3:443",
                        "10.1",
                        "0x0a010203",
                        "167838211",
                        "1٠.1.2.3",
                        "",
                        "x",
                        "fe80::1%",
                    )
                ),
            )
            for negated in (False, True)
            for answer in (inside if inside == CLASH else inside is not negated,)
        ),
        ("{ data: { a: { not: { cidr: 10.0.0.0/8 } } } }", {"a": ["192.0.2.1", "::ffff:10.1.2.3"]}, False),
        ("{ data: { a: { not: { cidr: [192.168.0.0/16, 10.0.0.0/8] } } } }", {"a": "::ffff:192.168.0.1"}, False),
        ("{ data: { a: { not: { cidr: 10.0.0.0/8 } } } }", {"a": 167838211}, CLASH),
        # numbers
        ("{ data: { a: 19.95 } }", {"a": Decimal("19.950")}, True),
        ("{ data: { a: 1e23 } }", {"a": 10**23}, True),
        ("{ data: { a: 9007199254740993 } }", {"a": 9007199254740992.0}, False),
        ("{ data: { a: { gt: 9007199254740992.0 } } }", {"a": 2**53 + 1}, True),
        ("{ data: { a: { lt: 0.1234567890123456789 } } }", {"a": Decimal("0.1234567890123456788")}, True),
        ("{ data: { a: { gte: 1 } } }", {"a": Decimal("1E+999999999")}, True),
        ("{ data: { a: { gte: 1 } } }", {"a": float("nan")}, CLASH),
        ("{ data: { a: { not: { gte: 1 } } } }", {"a": float("nan")}, CLASH),
        ("{ data: { a: { gte: 1 } } }", {"a": Decimal("sNaN")}, CLASH),
        ("{ data: { a: 1 } }", {"a": Decimal("sNaN")}, False),
        ("{ data: { a: { lt: 1 } } }", {"a": float("-inf")}, CLASH),
        # arrays
        ("{ data: { a: x } }", {"a": ["w", "x"]}, True),
        ("{ data: { a: x } }", {"a": []}, False),
        ("{ data: { a: [x, y] } }", {"a": ["y"]}, True),
        ("{ data: { a: x } }", {"a": [["x"]]}, True),
        ("{ data: { a: { gte: 5, lte: 10 } } }", {"a": [1, 20]}, False),
        ("{ data: { a: { gte: 5, lte: 10 } } }", {"a": [1, 7]}, True),
        ("{ data: { names: { first: Anna, last: Jones } } }", {"names": NAMES}, False),
        ("{ data: { names: { first: Anna, last: Smith } } }", {"names": NAMES}, True),
        ("{ data: { a: { not: x } } }", {"a": ["x", "y"]}, False),
        ("{ data: { a: { not: x } } }", {"a": ["y"]}, True),
        ("{ data: { a: { any: { gt: 5 } } } }", {"a": [1, 6]}, True),
        ("{ data: { a: { all: { gt: 5 } } } }", {"a": [1, 6]}, False),
        ("{ data: { a: { all: { gt: 5 } } } }", {"a": [7, 6]}, True),
        ("{ data: { a: { all: { gt: 5 } } } }", {"a": 7}, True),
        ("{ data: { a: { all: { gt: 5 } } } }", {"a": []}, False),
        ("{ data: { a: { any: x, all: { prefix: x } } } }", {"a": ["x", "xy"]}, True),
        # a clash decides nothing that is decided without it
        ("{ data: { a: { gte: 1 }, b: x } }", {"a": "?", "b": "y"}, False),
        ("{ data: { b: x, a: { gte: 1 } } }", {"a": "?", "b": "y"}, False),
        ("{ data: { a: { gte: 1 } } }", {"a": ["?", 2]}, True),
        ("{ data: { a: [{ gte: 1 }, x] } }", {"a": "x"}, True),
        ("{ data: { a: { gte: 1 } } }", {"a": ["?", 0]}, CLASH),
    ],
)
def test_a_pattern_says_what_it_looks_like(pattern: str, data: Any, expected: bool | str, tmp_path: Path) -> None:
    assert answer(pattern, data, tmp_path) == expected


@pytest.mark.parametrize(
    "pattern, problem",
    [
        ("{ typ: x }", "1:10: match.typ: unknown key (did you mean type?)"),
        ("{ type: 5 }", '1:16: match.type: this attribute is text, and this never equals it (write "5")'),
        (
            "{ subject: [a, 007] }",
            '1:23: match.subject[1]: this attribute is text, and this never equals it (write "007")',
        ),
        ("[x]", "1:8: match: expected keys such as type and data"),
        ("{ data: { a: [] } }", "1:21: match.data.a: an empty list matches nothing"),
        ("{ data: { a: { gt: [1] } } }", "1:27: match.data.a.gt: expected a number or a text to compare with"),
        ("{ data: { a: { gt: true } } }", "1:27: match.data.a.gt: expected a number or a text to compare with"),
        (
            "{ data: { a: { between: 5 } } }",
            "1:32: match.data.a.between: expected two bounds, both included (between: [10, 20])",
        ),
        (
            "{ data: { a: { between: [5, 1] } } }",
            "1:32: match.data.a.between: nothing is between these: the first is above the second",
        ),
        (
            "{ data: { a: { between: [b, a] } } }",
            "1:32: match.data.a.between: nothing is between these: the first is above the second",
        ),
        ("{ data: { a: { between: [1, x] } } }", "1:32: match.data.a.between: expected two numbers, or two texts"),
        ("{ data: { a: { exists: 5 } } }", "1:31: match.data.a.exists: expected true or false"),
        ("{ data: { a: { prefix: 5 } } }", "1:31: match.data.a.prefix: expected a text, or a list of texts"),
        (
            "{ data: { a: { cidr: 10.0.0.0/99 } } }",
            "1:29: match.data.a.cidr: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network",
        ),
        (
            "{ data: { a: { gte: 1, ltr: 2 } } }",
            "1:31: match.data.a.ltr: no operator, but it stands beside gte (did you mean lt?)",
        ),
        (
            "{ data: { a: { not: 1, colour: 2 } } }",
            "1:31: match.data.a.colour: no operator, but it stands beside not (use `when` for a field named not)",
        ),
        (
            "{ data: { a: '{{ data.b }}' } }",
            "1:22: match.data.a: a pattern is constant (compare values of an event in `when`)",
        ),
        (
            "{ data: { a: { ignore_case: { not: x } } } }",
            "1:36: match.data.a.ignore_case: expected a text, a list of texts, or one of prefix, suffix, glob"
            " (write { not: { ignore_case: … } })",
        ),
        ("{ data: { a: { ignore_case: [] } } }", "1:36: match.data.a.ignore_case: an empty list matches nothing"),
        ("{ data: { a: { ignore_case: 5 } } }", "1:36: match.data.a.ignore_case: expected a text, or a list of texts"),
    ],
)
def test_a_pattern_that_cannot_be_is_reported_at_its_place(pattern: str, problem: str, tmp_path: Path) -> None:
    root, _ = document(f"match: {pattern}", tmp_path)
    problems = Problems()
    compile_match(root.find(("match",)), problems)
    assert shown(problems, tmp_path) == [f"rules.yaml:{problem}"]


@pytest.mark.parametrize(
    ("pattern", "warning"),
    [
        ("{ prefx: a }", "warning: taken for a field named prefx, as no operator is (did you mean prefix?)"),
        ("{ ge: 5 }", "warning: taken for a field named ge, as no operator is (did you mean gte?)"),
        (
            "{ in: [a, b] }",
            "warning: taken for a field named in, as no operator is (for one of several write a list of them)",
        ),
        ("{ note: x }", None),
        *((f"{{ {name}: x }}", None) for name in ("late", "gate", "get", "alt", "let", "exit")),
        ("{ state: open, regex: x }", None),
    ],
)
def test_a_field_named_like_an_operator_is_doubted(pattern: str, warning: str | None, tmp_path: Path) -> None:
    root, _ = document(f"match: {{ data: {{ a: {pattern} }} }}", tmp_path)
    problems = Problems()
    compile_match(root.find(("match",)), problems)
    assert [text.partition(": ")[2].partition(": ")[2] for text in shown(problems, tmp_path)] == [warning] * bool(
        warning
    )


@pytest.mark.parametrize("glob", ["*a*a*a*a*b", "*aaaaaaaab*", "?*?*?*?*b", "*[ab]*[!b]*[ab]*c", "[z-a]*["])
def test_a_glob_has_an_answer_for_any_text(glob: str, tmp_path: Path) -> None:
    """It would take years if each star tried each place."""
    assert answer(f"{{ data: {{ a: {{ glob: '{glob}' }} }} }}", {"a": "a" * 1_000_000}, tmp_path) is False


def test_patterns_share_a_test_only_where_they_ask_the_same(tmp_path: Path) -> None:
    def compiled(constant: str) -> Match:
        root, _ = document(f"match: {{ data: {{ shared: {constant} }} }}", tmp_path)
        return compile_match(root.find(("match",)), Problems())

    matches = [compiled(constant) for constant in ("1", "true", "0.1", "0.1000000000000000055")]
    values = [1, True, Decimal("0.1"), Decimal("0.1000000000000000055")]
    passed = [[match.test(event({"shared": value})) for value in values] for match in matches]
    assert passed == [[row == column for column in range(4)] for row in range(4)]
    assert compiled("1").shaped is compiled("2").shaped is matches[0].shaped
