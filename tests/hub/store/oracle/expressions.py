"""Random tag expressions in two languages at once: the hub's, and Python's, whose interpreter is the oracle."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """The same condition in the hub's words and in Python's."""

    hub: str
    python: str


class Speaker:
    """Makes expressions of up to `most` tags; both languages bind `not` tighter than `and`, and `and` tighter than `or`,
    so neither text has more parentheses than chance puts there."""

    def __init__(self, chance: random.Random, tags: Sequence[str], *, most: int) -> None:
        self._chance = chance
        self._tags = tags
        self._left = most

    def expression(self) -> Said:
        """Joined by `||`."""
        return self._joined(self._and, "||", "or")

    def _and(self) -> Said:
        return self._joined(self._unary, "&&", "and")

    def _joined(self, part: Callable[[], Said], hub: str, python: str) -> Said:
        said = part()
        while self._left > 0 and self._chance.random() < 0.4:
            more = part()
            said = Said(
                f"{said.hub}{self._space()}{hub}{self._space()}{more.hub}", f"{said.python} {python} {more.python}"
            )
        return said

    def _unary(self) -> Said:
        kind = self._chance.random()
        if kind < 0.25:
            said = self._unary()
            return Said(f"!{self._space()}{said.hub}", f"not {said.python}")
        if kind < 0.45 and self._left > 1:
            said = self.expression()
            return Said(f"({self._space()}{said.hub}{self._space()})", f"({said.python})")
        return self._tag()

    def _tag(self) -> Said:
        self._left -= 1
        tag = self._chance.choice(self._tags)
        is_shouted = not tag.startswith("$") and self._chance.random() < 0.2
        spelled = tag.upper() if is_shouted else tag  # STRASSE is straße
        return Said(spelled, f"has({tag!r})")

    def _space(self) -> str:
        return self._chance.choice(["", "", " ", "  ", "\t"])
