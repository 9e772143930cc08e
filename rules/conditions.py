"""The single conditions of a rule, each with its place and its answer for an event: what tests of rules can cover."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rules.errors import RenderError, TypeClashError
from rules.event import Event
from rules.explain import Place


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds no smaller one. `wanted` is its spelling in the language; what `${…}` filled in stays as
    it was written. `test` raises where there is no answer."""

    place: Place
    wanted: str
    test: Callable[[Event], Any]

    def holds(self, event: Event) -> bool | None:
        """Whether an event meets the condition by itself, whatever the others say; None where there is no answer."""
        try:
            return bool(self.test(event))
        except (RenderError, TypeClashError):
            return None
