"""An event in, a decision out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from hub.acceptance import Reason
from hub.flow import RuleFlow
from hub.follow_up import FollowUp
from hub.notification import Notification
from hub.rate import Rate
from rules.conditions import Condition
from rules.decision import Decision, Failure, Intent, Observed
from rules.errors import RenderError, TooLateError, TypeClashError, UnsafeTagError
from rules.event import Event
from rules.explain import NOWHERE, Explanation, FailedCondition, Place, RuleResult
from rules.flow import FlowPlan
from rules.match.index import Index
from rules.match.patterns import MATCH_ALL, Match
from rules.node import Mark
from rules.push import PushPlan
from rules.when import When


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, compiled. `sources` None means every source; `push` None is a rule that only stops, or
    cancels by its `flow`.

    `owner` is the team that answers for it, empty where none is named. `report_to` are the sinks that are told what became
    of its notifications, `unless_opened` says who is told of phones that have not opened one. `rate` is how many pushes go
    out in a second. Of a rule that `observes` nothing comes but that it is counted. `key` is its path in the configuration
    and `mark` its place there; `source_mark` and `stop_mark` are the places of its sources and of `stop`.
    """

    name: str
    owner: str = ""
    sources: frozenset[str] | None = None
    match: Match = MATCH_ALL
    when: When | None = None
    push: PushPlan | None = None
    flow: FlowPlan | None = None
    rate: Rate | None = None
    stop: bool = False
    observes: bool = False
    report_to: tuple[str, ...] = ()
    unless_opened: FollowUp | None = None
    key: str = field(default="", compare=False)
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)
    source_mark: Mark = field(default=NOWHERE, compare=False, repr=False)
    stop_mark: Mark = field(default=NOWHERE, compare=False, repr=False)

    def matches(self, event: Event) -> bool:
        """Raises: TypeClashError, RenderError: the question has no answer for this event."""
        if self.sources is not None and event.origin not in self.sources:
            return False
        return self.match.test(event) and self.fits(event)

    def fits(self, event: Event) -> bool:
        """Whether an event that `match` says yes to meets `when` and has a level. Raises: RenderError."""
        if self.when is not None and not self.when.evaluate(event):
            return False
        return self.push is None or self.push.level is None or self.push.is_heard(event)

    def conditions(self) -> tuple[Sequence[Condition], Sequence[Condition]]:
        """The single conditions of `match`, and those of `when` and `push.level`, asked where `match` says yes."""
        later = () if self.when is None else tuple(self.when.conditions())
        if self.push is not None and self.push.level is not None:
            later += (self.push.level.condition(self.push.audience.template, f"{self.key}.push"),)
        return tuple(self.match.conditions(f"{self.key}.match")), later

    def asked(self, event: Event) -> Sequence[int]:
        """Which conditions of `when` and `push.level` an event that `match` fits is asked, by their numbers."""
        asked = [] if self.when is None else list(self.when.asked(event))
        if self.push is not None and self.push.level is not None:
            try:
                comes_to_it = self.when is None or bool(self.when.evaluate(event))
            except (TypeClashError, RenderError):
                comes_to_it = False
            if comes_to_it:
                asked.append(len(self.conditions()[1]) - 1)
        return asked

    def explain(self, event: Event) -> Explanation:
        """What becomes of this rule for an event, were no other rule there."""
        condition = self._failed_condition(event)
        if condition is not None:
            return self._explanation(RuleResult.ERROR if condition.error else RuleResult.NOT_MATCHED, condition)
        condition = None if self.flow is None else self.flow.explain(event)
        if self.push is None and condition is None and not self.observes:
            return self._explanation(RuleResult.FIRED if self.cancels else RuleResult.STOPPED)
        if self.push is not None and condition is None:
            condition = self.push.explain(event, f"{self.key}.push")
        if self.observes:
            return self._explanation(RuleResult.OBSERVED, condition)
        return self._explanation(RuleResult.FIRED if condition is None else RuleResult.FAILED, condition)

    @property
    def cancels(self) -> bool:
        """Whether an event that fits withdraws notifications."""
        return self.flow is not None and self.flow.cancel is not None

    def not_reached(self, stopped_by: str) -> Explanation:
        """What is said of this rule where one above it ended the evaluation."""
        return replace(self._explanation(RuleResult.NOT_REACHED, None), stopped_by=stopped_by)

    @property
    def place(self) -> Place:
        """Where the rule stands."""
        return Place(self.key, self.mark)

    def _explanation(self, result: RuleResult, condition: FailedCondition | None = None) -> Explanation:
        return Explanation(rule=self.name, owner=self.owner, place=self.place, result=result, condition=condition)

    def _failed_condition(self, event: Event) -> FailedCondition | None:
        if self.sources is not None and event.origin not in self.sources:
            return FailedCondition(
                place=Place(f"{self.key}.source", self.source_mark),
                wanted=" or ".join(sorted(self.sources)),
                seen={"origin": event.origin},
            )
        failed = self.match.explain(event, f"{self.key}.match")
        if failed is None and self.when is not None:
            failed = self.when.explain(event)
        if failed is None and self.push is not None and self.push.level is not None and not self.push.is_heard(event):
            failed = self.push.level.explain_unheard(event, f"{self.key}.push")
        return failed


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a configuration, in order. Stateless: the same event always gives the same decision."""

    rules: Sequence[Rule] = ()
    owners: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """Who answers for a rule, by its name, where an owner is named."""
    sensitive: frozenset[str] = field(init=False, repr=False, compare=False)
    """The names of rules that say something sensitive."""
    report_to: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """The sinks of a rule, by its name, where it has any."""
    follow_ups: Mapping[str, FollowUp] = field(init=False, repr=False, compare=False)
    """Who is told of phones that have not opened a notification of a rule, by its name, where anybody is."""
    _index: Index = field(init=False, repr=False, compare=False)
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _steps: bytes = field(init=False, repr=False, compare=False)
    """What there is to do with each rule that matches: side by side, so that a rule is not fetched from memory for it."""
    _sensitive_sources: frozenset[str] | None = field(init=False, repr=False, compare=False)
    """The sources of sensitive rules; None: one is for every source."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", Index([(rule.sources, rule.match) for rule in self.rules]))
        object.__setattr__(self, "_names", tuple([rule.name for rule in self.rules]))
        object.__setattr__(self, "_steps", bytes(map(_steps_of, self.rules)))
        object.__setattr__(self, "report_to", {rule.name: rule.report_to for rule in self.rules if rule.report_to})
        follow_ups = {rule.name: rule.unless_opened for rule in self.rules if rule.unless_opened is not None}
        object.__setattr__(self, "follow_ups", follow_ups)
        sensitive = frozenset(rule.name for rule in self.rules if rule.push is not None and rule.push.sensitive)
        object.__setattr__(self, "sensitive", sensitive)
        named = [rule.sources for rule in self.rules if rule.name in sensitive]
        read = None if None in named else frozenset().union(*(sources for sources in named if sources is not None))
        object.__setattr__(self, "_sensitive_sources", read)
        object.__setattr__(self, "owners", {rule.name: rule.owner for rule in self.rules if rule.owner})

    def has_sensitive(self, source: str) -> bool:
        """Whether a rule that is for events of a source says something sensitive."""
        return bool(self.sensitive) and (self._sensitive_sources is None or source in self._sensitive_sources)

    def always_tried(self, source: str) -> Sequence[Rule]:
        """The rules that are tried for nearly every event of a source, as nothing in their `match` can be looked up."""
        left = [self.rules[position] for position in self._index.always(source)]
        return [rule for rule in left if rule.when is not None or not rule.match.asked().whole]

    def route(self, event: Event, *, now: datetime) -> Decision:
        """What the rules say of an event; every rule that matches fires, up to one that stops. Never raises.

        A rule that cannot fill one of its texts is a failure of its own and leaves the others as they are. `now` is
        where a time to live begins.
        """
        intents: list[Intent] = []
        failures: list[Failure] = []
        matched: list[str] = []
        flows: list[RuleFlow] = []
        observed: list[Observed] = []
        matching, errors = self._index.matching(event)
        names, all_steps = self._names, self._steps
        for position in matching:
            steps = all_steps[position]
            if not steps:
                matched.append(names[position])
                continue
            rule = self.rules[position]
            if steps & _ASKS:
                try:
                    if not rule.fits(event):
                        continue
                except (TypeClashError, RenderError):
                    errors.append(position)
                    continue
            notifications, flow, failure = _said(rule, event, now=now) if steps & _SAYS else _NOTHING
            if steps & _OBSERVES:
                observed.append(Observed(rule=rule.name, notifications=tuple(notifications), failure=failure))
                continue
            matched.append(names[position])
            intents += [Intent(rule=rule.name, notification=notification) for notification in notifications]
            if flow is not None:
                flows.append(flow)
            if failure is not None:
                failures.append(failure)
            if steps & _STOPS:
                errors = [error for error in errors if error < position]
                break
        unanswered = tuple([names[position] for position in sorted(errors)]) if errors else ()
        return Decision(tuple(intents), tuple(failures), tuple(matched), unanswered, tuple(flows), tuple(observed))

    def explain(self, event: Event, *, own_only: bool = False, most: int | None = None) -> list[Explanation]:
        """What becomes of each rule for an event, in their order: it fires, or the first condition that fails.

        Each rule is asked by itself, without the index. Seen values are data of the event. `own_only` leaves out rules
        for other sources, and `most` bounds the answer. Never raises.
        """
        explanations: list[Explanation] = []
        stopped_by = ""
        for rule in self.rules:
            if own_only and rule.sources is not None and event.origin not in rule.sources:
                continue
            if len(explanations) == most:
                break
            explanation = rule.not_reached(stopped_by) if stopped_by else rule.explain(event)
            explanations.append(explanation)
            if rule.stop and explanation.result in _MATCHED:
                stopped_by = rule.name
        return explanations


_ASKS, _SAYS, _OBSERVES, _STOPS = 1, 2, 4, 8


def _steps_of(rule: Rule) -> int:
    """What is left to do with a rule whose `match` says yes."""
    asks = rule.when is not None or (rule.push is not None and rule.push.level is not None)
    says = rule.push is not None or rule.flow is not None
    return asks * _ASKS | says * _SAYS | rule.observes * _OBSERVES | rule.stop * _STOPS


_NOTHING: tuple[Sequence[Notification], RuleFlow | None, Failure | None] = (), None, None
"""What a rule without `push` and flow control says: one that only stops."""


def _said(rule: Rule, event: Event, *, now: datetime) -> tuple[Sequence[Notification], RuleFlow | None, Failure | None]:
    """What a rule that matched says with its flow control, or why it cannot."""
    try:
        notifications = [] if rule.push is None else rule.push.notifications(event, now=now)
        flow = None
        if rule.flow is not None:
            notifications = rule.flow.keyed(notifications, event)
            if notifications or rule.cancels:
                flow = rule.flow.of(event, rule.push, now=now)
        return notifications, flow, None
    except UnsafeTagError as error:
        return (), None, Failure(rule=rule.name, reason=Reason.TAG_UNSAFE, detail=str(error))
    except TooLateError as error:
        return (), None, Failure(rule=rule.name, reason=Reason.EXPIRED, detail=str(error))
    except RenderError as error:
        return (), None, Failure(rule=rule.name, reason=Reason.RENDER, detail=str(error))


_MATCHED = (RuleResult.FIRED, RuleResult.FAILED, RuleResult.STOPPED)
