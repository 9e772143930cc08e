"""Why a rule did not fire: the condition that failed, where it stands, what was wanted and what was seen.

Values of an event may be personal data. They are kept out of every `repr`; who prints an explanation decides on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rules.node import Mark

NOWHERE = Mark("", 1, 1)
"""The place of a rule that was made by a program, not read from a file."""


class RuleResult(Enum):
    """What became of a rule for one event. Exactly the rules that FIRED have a notification in the decision."""

    FIRED = "fired"
    STOPPED = "stopped"
    """It matched, has no `push`, and ended the evaluation."""
    NOT_MATCHED = "not matched"
    ERROR = "error"
    """A comparison has no answer for this event; it counts as not matched."""
    OBSERVED = "observed"
    """It matched, and has `mode: observe`: nothing came of it."""
    FAILED = "failed"
    """It matched, and a text or the audience cannot be filled."""
    NOT_REACHED = "not reached"
    """A rule above it ended the evaluation."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the configuration: a file with line and column, counted from 1, and the path of keys."""

    key: str
    mark: Mark = NOWHERE

    def __str__(self) -> str:
        return f"{self.mark.file}:{self.mark.line}:{self.mark.column}: {self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCondition:
    """The first condition that an event does not meet.

    `wanted` is the condition in the spelling of the language; what `${…}` filled in stays as it was written. `seen` are
    the values that were looked at, by their paths in the event, in order: MISSING where there is none. `error` says why
    there is no answer, and is empty where the answer is no. It holds no value of the event.
    """

    place: Place
    wanted: str
    seen: Mapping[str, Any] = field(repr=False)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What became of one rule. `condition` is None where it fired, stopped or was not reached.

    `stopped_by` names the rule above that ended the evaluation. `owner` is who answers for the rule, if it says so.
    """

    rule: str
    owner: str = ""
    place: Place
    result: RuleResult
    condition: FailedCondition | None = None
    stopped_by: str = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """How far an explanation has come: the path of keys in the rules, and the path of the value in the event."""

    key: str
    path: str

    def field(self, name: str) -> "Trail":
        """One field further, in both."""
        return Trail(f"{self.key}.{name}", step_to(self.path, name))

    def operator(self, name: str) -> "Trail":
        """An operator: the value stays the same."""
        return Trail(f"{self.key}.{name}", self.path)

    def choice(self, index: int) -> "Trail":
        """One of a list of patterns: the value stays the same."""
        return Trail(f"{self.key}[{index}]", self.path)

    def element(self, index: int) -> "Trail":
        """One element of an array: the pattern stays the same."""
        return Trail(self.key, step_to(self.path, index))


def step_to(path: str, key: str | int) -> str:
    """A path of an event with one key more, as an expression would spell it."""
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}"
    return f"{path}[{key!r}]"
