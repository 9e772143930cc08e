"""A regular expression of the configuration, tried on text that anybody may have written.

Backtracking may cost 2^n steps on a text of n characters, and nothing else runs in that time. So `regex` does the work,
which counts the processor time and gives up: 3.5 µs for a text that `re` reads in 0.5 µs. Its language is that of `re`,
but for `[[:alpha:]]` and its like, and its `\\w` and `\\d` go by a newer Unicode: combining accents are letters to it, and
`²` is none.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

LIMIT = 0.02
"""Seconds of processor time after which a text is given up: five thousand times what an ordinary one takes."""

FullMatch = Callable[[str], Mapping[str, str | None] | None]
"""The named groups of a pattern that matches all of a text, None for those that took no part; None if it does not match.

Raises: PatternTimeoutError.
"""


class PatternTimeoutError(Exception):
    """No answer within LIMIT: this text can be matched, or nearly matched, in too many ways."""


def compile_pattern(pattern: str) -> FullMatch:
    """The language is that of `re`. Raises: ValueError, in words for the author of the pattern."""
    import regex  # 20 ms and 2 MB, for a configuration that has a pattern

    try:
        re.compile(pattern)
        full_match = regex.compile(_BRACE.sub(lambda found: found[1] or r"\{", pattern)).fullmatch
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None

    def groups(text: str) -> Mapping[str, str | None] | None:
        try:
            match = full_match(text, timeout=LIMIT, concurrent=True)
        except TimeoutError:
            raise PatternTimeoutError from None
        return None if match is None else match.groupdict()

    return groups


@lru_cache(maxsize=1000)
def compile_search(pattern: str) -> Callable[[str], bool]:
    """Whether a pattern is found anywhere in a text. The function raises PatternTimeoutError. Raises: ValueError."""
    import regex

    try:
        search = regex.compile(_BRACE.sub(lambda found: found[1] or r"\{", pattern)).search
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None

    def is_found(text: str) -> bool:
        try:
            return search(text, timeout=LIMIT, concurrent=True) is not None
        except TimeoutError:
            raise PatternTimeoutError from None

    return is_found


_BRACE = re.compile(r"(\\(?:N\{|.))|\{(?!\d+\}|\d*,\d*\})", re.DOTALL)
"""A brace that is only a character to `re`; `regex` might read `{e}` as leave to differ. What is escaped is passed over."""
