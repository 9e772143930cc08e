"""Names that look like operators gone wrong, as regular expressions: what `doubts` finds, for a schema that runs no code.

The expressions are of the kind that ECMA-262 and Python read alike, and match a whole name.
"""

from collections.abc import Iterable
from itertools import pairwise

from rules.advice.foreign import operator_words
from rules.match.doubts import MISTAKABLE
from rules.models import OPERATORS

NO_FIELD = r"^\$|-|^[^A-Za-z0-9]+$"
"""A name that says by its form that it is an operator."""

_LONG = 7
"""Of so many letters a word is known again with one of them exchanged."""


def never_fields() -> str:
    """Words of other languages, and misspelt ones of ours, that no data has for a field."""
    words = operator_words(inside_field=False)
    symbols = [word for word in words if not word.isalnum()]
    near = [variant for word in MISTAKABLE for variant in _variants(word)]
    return f"^(?:[$@]?(?:{_any_of(words)})|{'|'.join((*symbols, *near))})$"


def no_fields_below() -> str:
    """Words that are no field inside of another field, and none anywhere if `$` stands before them."""
    words = set(operator_words(inside_field=True)) - set(operator_words(inside_field=False))
    return f"^[$@]?(?:{_any_of((*words, *(word.replace('_', '') for word in OPERATORS)))})$"


def no_fields_if_marked() -> str:
    """Words that are no field only if `$` stands before them."""
    words = set(operator_words(inside_field=None)) - set(operator_words(inside_field=True))
    return f"^[$@](?:{_any_of(words)})$"


MARKED = "^[$@]"


def _any_of(words: Iterable[str]) -> str:
    return "|".join(_in_any_case(word) for word in sorted(words) if word.isalnum())


def _in_any_case(word: str) -> str:
    """`startswith` as `startsWith`, `starts-with` and `STARTS_WITH`."""
    return "[-_ ]?".join(f"[{letter}{letter.upper()}]" for letter in word)


def _variants(word: str) -> list[str]:
    """A word with one letter too many, one too few, and if it is long one exchanged, or two that changed places."""
    cuts = range(len(word))
    found = [word[:at] + word[at + 1 :] for at in cuts] + [
        f"{word[:at]}[a-zA-Z_]{word[at:]}" for at in (*cuts, len(word))
    ]
    if len(word) >= _LONG:
        found += [f"{word[:at]}[a-zA-Z]{word[at + 1 :]}" for at in cuts]
        found += [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at, _ in pairwise(cuts)]
    return found
