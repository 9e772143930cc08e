"""Texts that others begin with."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

_FEW_LENGTHS = 8
"""So many texts are looked up in less time than one is found among others in order."""


class Prefixes(Generic[T]):
    """What stands under each prefix that a text begins with."""

    def __init__(self, kept: Mapping[str, T]) -> None:
        lengths = sorted({len(prefix) for prefix in kept})
        self.by_text = dict(kept)
        """What is kept for each prefix."""
        self.lengths = lengths if len(lengths) <= _FEW_LENGTHS else None
        """The lengths of prefixes, where they are few."""
        self._prefixes = [] if self.lengths else sorted(kept)
        self._shorter: list[int] = []
        """Of each prefix, where the longest is that it begins with itself; -1: none does."""
        for prefix in self._prefixes:
            self._shorter.append(self._longest(prefix, len(self._shorter) - 1))

    def find(self, text: str) -> Iterable[T]:
        """What is kept for the prefixes of a text, in no order."""
        if self.lengths:
            starts = {text[:length] for length in self.lengths}  # a text may be shorter than several
            return [self.by_text[start] for start in starts if start in self.by_text]
        return self._found_in_order(text)

    def _found_in_order(self, text: str) -> Iterable[T]:
        """What text begins with stands before it in order, and so does all that a prefix in between begins with."""
        at = self._longest(text, bisect_right(self._prefixes, text) - 1)
        while at >= 0:
            yield self.by_text[self._prefixes[at]]
            at = self._shorter[at]

    def _longest(self, text: str, at: int) -> int:
        while at >= 0 and not text.startswith(self._prefixes[at]):
            at = self._shorter[at]
        return at
