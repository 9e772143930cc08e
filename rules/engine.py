"""An event in, a decision out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rules.decision import Decision, Failure, FailureReason, Intent
from rules.errors import RenderError, TypeClashError, UnsafeTagError
from rules.event import Event
from rules.match.index import Index, Key
from rules.match.patterns import MATCH_ALL, Match
from rules.push import PushPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, compiled. `sources` None means every source; `push` None is a rule that only stops."""

    name: str
    sources: frozenset[str] | None = None
    match: Match = MATCH_ALL
    when: Callable[[Event], Any] | None = None
    push: PushPlan | None = None
    stop: bool = False

    def matches(self, event: Event) -> bool:
        """Raises: TypeClashError, RenderError: the question has no answer for this event."""
        if self.sources is not None and event.origin not in self.sources:
            return False
        return self.match.test(event) and (self.when is None or bool(self.when(event)))


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a configuration, in order. Stateless: the same event always gives the same decision."""

    rules: Sequence[Rule] = ()
    _index: Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = [Key(sources=rule.sources, required=rule.match.required) for rule in self.rules]
        object.__setattr__(self, "_index", Index(keys))

    def route(self, event: Event, *, now: datetime) -> Decision:
        """What the rules say of an event; every rule that matches fires, up to one that stops. Never raises.

        A rule that cannot fill one of its texts is a failure of its own and leaves the others as they are. `now` is
        where a time to live begins.
        """
        intents: list[Intent] = []
        failures: list[Failure] = []
        matched: list[str] = []
        errors: list[str] = []
        for position in self._index.candidates(event):
            rule = self.rules[position]
            try:
                if not rule.matches(event):
                    continue
            except (TypeClashError, RenderError):
                errors.append(rule.name)
                continue
            matched.append(rule.name)
            if rule.push is not None:
                try:
                    notifications = rule.push.notifications(event, now=now)
                    intents += [Intent(rule=rule.name, notification=notification) for notification in notifications]
                except UnsafeTagError as error:
                    failures.append(Failure(rule=rule.name, reason=FailureReason.TAG_UNSAFE, detail=str(error)))
                except RenderError as error:
                    failures.append(Failure(rule=rule.name, reason=FailureReason.RENDER, detail=str(error)))
            if rule.stop:
                break
        return Decision(tuple(intents), tuple(failures), tuple(matched), tuple(errors))
