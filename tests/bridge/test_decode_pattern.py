"""Patterns of the configuration: what they say, and what they may cost."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.decode.pattern import PatternTimeoutError, compile_pattern
from bridge.decode.text import MAX_MATCHED, TextReader
from bridge.errors import EventError, Reason

PLAIN = [
    (r"Employee Id '(?P<id>\d+)' has (?P<what>.+)\.", "Employee Id '12345' has joined."),
    (r"^(?P<host>\S+) (?P<app>\w+)\[(?P<pid>\d+)\]: (?P<text>.*)$", "web01 sshd[4711]: Accepted [4711]: x"),
    (r"(?P<a>[^;]*);(?P<b>[^;]*);(?P<c>[^;]*)", "1;;3"),
    (r"(?P<a>\S+)\s+(?P<b>\w+)\W(?P<n>-?\d+)", "x  y=-7"),
    (r"(?s)Order (?P<no>[\w.-]+)\r?\n(?P<date>\d{4}-\d\d)\n(?P<text>.*?)\.", "Order A-1.x\n2026-03\na\nb."),
]
AMBIGUOUS = [
    (r"(?P<first>.+) (?P<last>.+)", "Anna Maria Jones"),
    (r"(?P<what>joined|left)(?P<late> late)?", "left late"),
    (r"(?i)id (?P<id>\d+)", "ID 7"),
    (r"(?P<open>\{|{e})x{i}(?P<n>\d{2,3})", "{e}x{i}123"),
    (r"(?P<quote>['\"])(?P<text>.*)(?P=quote)", "'a'"),
    (r"(?P<amount>\d+(?:\.\d+)?) (?P<currency>(?!XXX)[A-Z]{3})", "1.50 CHF"),
]


@pytest.mark.parametrize("pattern, text", [*PLAIN, *AMBIGUOUS])
def test_a_pattern_says_what_it_says_in_python(pattern: str, text: str) -> None:
    match = re.fullmatch(pattern, text)
    assert match is not None
    assert compile_pattern(pattern)(text) == match.groupdict()
    assert compile_pattern(pattern)(";" + text + "\n;") is None


@pytest.mark.parametrize(
    "pattern, text",
    [
        (r"(?P<a>(x+x+)+)y", "x" * (MAX_MATCHED - 2) + "y!"),
        (r"(?P<a>(a|aa)+)b", "a" * 100 + "b!"),
        (r"(?P<a>.+) (?P<b>.+) (?P<c>.+)\.", "a " * 30_000 + ".!"),
        (r"(?P<a>[\s\S]*?)END(?P<b>[\s\S]*?)END(?P<c>[\s\S]*?)STOP", "END" * 21_000 + "STOP!"),
    ],
)
def test_a_text_that_a_pattern_tries_too_many_ways_on_is_given_up(pattern: str, text: str) -> None:
    with pytest.raises(PatternTimeoutError):
        compile_pattern(pattern)(text)
    with pytest.raises(EventError, match=f"takes too long on this text of {len(text.strip())} characters") as raised:
        TextReader(pattern=pattern)(text.encode(), None)
    assert raised.value.reason is Reason.DECODE


@pytest.mark.parametrize(
    "pattern, problem",
    [
        ("(", "missing ), unterminated subpattern at position 0"),
        ("[z-a]+b", "bad character range z-a at position 1"),
        ("(?P<a>x)|(?P<a>y)", "position"),
        ("a{99999999999999999999}", "too large"),
        ("(?:" * 3000 + ")" * 3000, "recursion"),
        ("\\", "position"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^not a regular expression: .*{re.escape(problem)}"):
        compile_pattern(pattern)


ATOMS = st.sampled_from(["a", "b", "ab", " ", ".", r"\d", r"\w", r"\s", r"\S", r"\W", "[^a]", "[ab]", r"\.", r"\n"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "{2}", "{1,}", "{0,3}"])
PATTERNS = st.lists(st.tuples(ATOMS, REPEATS), min_size=1, max_size=8).map(
    lambda items: "".join(atom + repeat for atom, repeat in items)
)


@given(pattern=PATTERNS, text=st.text("ab .1\n", max_size=12))
def test_both_engines_agree(pattern: str, text: str) -> None:
    expected = re.fullmatch(pattern, text)
    assert (compile_pattern(f"(?P<all>{pattern})")(text) is not None) == (expected is not None)
    assert (compile_pattern(f"(?=)(?P<all>{pattern})")(text) is not None) == (expected is not None)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # [[ may mean more to a Python of the future
@given(pattern=st.text(st.sampled_from(list("abe(?:P<x>)[]^-\\dsw.*+?{1,2}|$=!")), max_size=14))
def test_anything_is_a_pattern_as_python_knows_it_or_is_refused_in_our_words(pattern: str) -> None:
    with suppress(re.error):
        match = re.fullmatch(pattern, "ab")
        assert compile_pattern(pattern)("ab") == (match and match.groupdict())
        return
    with pytest.raises(ValueError, match=r"^not a regular expression: .+"):
        compile_pattern(pattern)
