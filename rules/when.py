"""`when`: a condition in words, kept with its place so that it can be explained."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rules.conditions import Condition
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.expressions import Expression
from rules.node import Node


@dataclass(frozen=True, slots=True)
class When:
    """A rule's `when`: an expression, and the value of the configuration that it is the text of."""

    expression: Expression
    node: Node = field(compare=False, repr=False)

    evaluate: Callable[[Any], Any] = field(init=False, compare=False, repr=False)
    """Any value, true where an event meets the condition. Raises: RenderError: there is no answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "evaluate", self.expression.evaluate)

    def conditions(self) -> Iterator[Condition]:
        """The operands of `and` and `or`, or the whole; one that `${…}` is in is shown as the whole is written."""
        is_filled = self.node.written != self.node.text
        for part in self.expression.parts():
            place = Place(self.node.key, self.node.at(part.tree.offset + 1))
            yield Condition(place, self.node.written if is_filled else str(part.tree), part.evaluate)

    def explain(self, event: Event) -> FailedCondition | None:
        """The part that decides that an event does not meet the condition; None if it does."""
        unmet = self.expression.explain(event)
        if unmet is None:
            return None
        if self.node.written != self.node.text:
            unmet = self.expression.covered(unmet, self.node.written)
        place = Place(self.node.key, self.node.at(unmet.offset + 1))
        return FailedCondition(place=place, wanted=unmet.wanted, seen=unmet.seen, error=unmet.error)
