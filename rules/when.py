"""`when`: a condition in words, kept with its place so that it can be explained."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition, Place
from rules.expressions import Expression, compile_expression, conjuncts, seen_by
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

    def explain(self, event: Event) -> FailedCondition | None:
        """The first of the conditions joined by `and` that an event does not meet; None if it meets all."""
        error = ""
        try:
            if self.evaluate(event):
                return None
        except RenderError as failure:
            error = str(failure)
        conditions = conjuncts(self.node.text)
        failed = ((column, text) for column, text in conditions if not _holds(text, event))
        column, wanted = next(failed, (1, self.expression.text))
        shown = wanted
        if self.node.written != self.node.text:  # something was filled in, which is not to be shown
            column, wanted = 1, self.node.written
        return FailedCondition(
            place=Place(self.node.key, self.node.at(column)), wanted=wanted, seen=seen_by(shown, event), error=error
        )


def _holds(text: str, event: Event) -> bool:
    try:
        return bool(compile_expression(text).evaluate(event))
    except RenderError:
        return False
