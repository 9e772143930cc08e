"""A regular expression of the configuration, tried on text that anybody may have written.

Backtracking may cost 2^n steps on a text of n characters, and nothing else runs meanwhile. So each pattern is looked at
when it is compiled. Most are plain: a row of characters, where each repeat ends at something that it cannot take itself.
Those need n steps whatever the text, and go to `re`. The others go to `regex`, which counts the processor time it takes
and gives up: four microseconds for a text that `re` reads in a half. It reads the same language, but for `[[:alpha:]]` and
its like, and its `\\w` and `\\d` go by a newer Unicode: combining accents are letters to it, and `²` is none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

LIMIT = 0.02
"""Seconds of processor time after which a text is given up: five thousand times what an ordinary one takes."""

FullMatch = Callable[[str], Mapping[str, str | None] | None]
"""The named groups of a pattern that matches all of a text, None for those that took no part; None if it does not match.

Raises: PatternTimeoutError.
"""


class PatternTimeoutError(Exception):
    """No answer within LIMIT: this text can be matched, or nearly matched, in too many ways."""


def compile_pattern(pattern: str) -> FullMatch:
    """The language is that of `re`, whoever does the work. Raises: ValueError, in words for who wrote the pattern."""
    try:
        full_match = re.compile(pattern).fullmatch
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if is_plain(pattern):
        return lambda text: None if (match := full_match(text)) is None else match.groupdict()
    return _bounded(pattern)


def is_plain(pattern: str) -> bool:
    """Whether matching needs a number of steps that grows as the text does, whatever the text.

    A repeat is sure if nothing that may come next takes a character that it takes itself: it can end in one place only.
    The first that is not sure may end anywhere; that is n steps in all if nothing behind it repeats.
    `pattern` is one that `re` can compile.
    """
    items = _items(pattern)
    if items is None:
        return False
    unsure = (index for index, item in enumerate(items) if item.repeat and not _is_sure(item, items[index + 1 :]))
    return not any(item.repeat for item in items[next(unsure, len(items)) + 1 :])


def _bounded(pattern: str) -> FullMatch:
    import regex  # 20 ms and 2 MB, for those that need it

    try:
        full_match = regex.compile(_BRACE.sub(lambda found: found[1] or r"\{", pattern)).fullmatch
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from None

    def groups(text: str) -> Mapping[str, str | None] | None:
        try:
            match = full_match(text, timeout=LIMIT, concurrent=True)
        except TimeoutError:
            raise PatternTimeoutError from None
        return None if match is None else match.groupdict()

    return groups


_BRACE = re.compile(r"(\\(?:N\{|.))|\{(?!\d+\}|\d*,\d*\})", re.DOTALL)
"""A brace that is only a character to `re`; `regex` might read `{e}` as leave to differ. What is escaped is passed over."""


class _Item(NamedTuple):
    """One character of some kind, and how often: `repeat` is empty where that is a fixed number of times."""

    atom: str
    repeat: str


_TOKEN = re.compile(
    r"""
        \( (?: \?P<\w+> | \?: )? | \)                               # a group is seen through; one that repeats is no token
    |   (?P<atom>
            \\[dDsSwWnrt] | \\[^\w\s] | \.
        |   \[ \^? (?: \\[dDsSwWnrt] | \\[^\w\s] | [^][\\] )+ \]
        |   [^][\\(){}|*+?^$.]
        )
        (?: \{[1-9]\d?\} | (?P<repeat> [*+?] | \{\d*,\d*\} ) \?? )?
    """,
    re.VERBOSE,
)
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\s": _SPACES}


def _items(pattern: str) -> list[_Item] | None:
    """What a pattern consists of, if that is characters and repeats only; it need not be a pattern at all."""
    pattern = pattern.removeprefix("(?s)").removeprefix("^").removesuffix("$")
    tokens = list(_TOKEN.finditer(pattern))
    if sum(len(token[0]) for token in tokens) < len(pattern):
        return None
    return [_Item(token["atom"], token["repeat"] or "") for token in tokens if token["atom"]]


def _is_sure(item: _Item, following: Sequence[_Item]) -> bool:
    for next_ in following:
        if not _are_disjoint(item.atom, next_.atom):
            return False
        if next_.repeat in ("", "+"):
            break
    return True


def _are_disjoint(one: str, other: str) -> bool:
    """Whether no character is taken by both; known of opposites, and where one of them takes only a few."""
    if len(one) == 2 and one.swapcase() == other != one:
        return True  # \\w and \\W; of sets it is not so
    for few, many in ((one, other), (other, one)):
        members = _members(few)
        if members:
            return not any(re.fullmatch(many, member, re.DOTALL) for member in members)
    return False


def _members(atom: str) -> str:
    """The characters that an atom takes; empty where they are many."""
    if atom in _ESCAPES:
        return _ESCAPES[atom]
    if len(atom) == 1 and atom != ".":
        return atom
    return atom[1] if atom[0] == "\\" and not atom[1].isalpha() else ""
