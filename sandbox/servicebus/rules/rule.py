"""A rule of a subscription: a filter, and perhaps an action that changes what is delivered."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.servicebus.content import Content
from sandbox.servicebus.rules.action import parse_action
from sandbox.servicebus.rules.sql import parse_filter

DEFAULT_RULE = "$Default"


class Filter(Protocol):
    """Something that a message matches or not."""

    def matches(self, content: Content) -> bool:
        """Whether a subscription wants it; what is unknown does not match."""


@dataclass(frozen=True, slots=True)
class TrueFilter:
    """Everything."""

    def matches(self, content: Content) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class FalseFilter:
    """Nothing."""

    def matches(self, content: Content) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationFilter:
    """Equality with everything that is given, type included.

    `system` has names of the standard's properties (`subject`, `group-id`), `user` those of application properties.
    """

    system: dict[str, str] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)

    def matches(self, content: Content) -> bool:
        return all(_same(content.properties.get(name), value) for name, value in self.system.items()) and all(
            _same(content.application_properties.get(name), value) for name, value in self.user.items()
        )


class SqlFilter:
    """A condition in the SQL of Service Bus. Raises: FilterError: the text is none."""

    def __init__(self, expression: str, parameters: dict[str, Any] | None = None) -> None:
        self.expression = expression
        self.parameters = parameters or {}
        self._evaluate = parse_filter(expression, self.parameters)

    def matches(self, content: Content) -> bool:
        return self._evaluate(content) is True


class SqlAction:
    """Assignments to, and removals of, application properties. Raises: FilterError: the text is none."""

    def __init__(self, expression: str, parameters: dict[str, Any] | None = None) -> None:
        self.expression = expression
        self.parameters = parameters or {}
        self._steps = parse_action(expression, self.parameters)

    def apply(self, content: Content) -> Content:
        """The message as the rule delivers it."""
        properties = dict(content.application_properties)
        for name, value in self._steps:
            if value is None:
                properties.pop(name, None)
            else:
                properties[name] = value(content)
        return content.replacing_application_properties(properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A filter, and what is done to a message that it lets through."""

    name: str
    filter: Filter = field(default_factory=TrueFilter)
    action: SqlAction | None = None


def _same(found: Any, wanted: Any) -> bool:
    """Whether two values are of one kind and equal: 1 is no "1", and True is no 1."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return found == wanted
    return type(found) is type(wanted) and bool(found == wanted)
