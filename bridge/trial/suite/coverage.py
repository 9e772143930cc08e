"""What tests have tried of the rules: whether each fired, and each of its conditions, both true and false."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rules.engine import Rule, RuleSet
from rules.event import Event
from rules.explain import Explanation, Place, RuleResult

FIRED = (RuleResult.FIRED, RuleResult.STOPPED)
"""What became of a rule that counts as one that fired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that no test has tried: `missing` says what, in words; `condition` is empty for the rule itself."""

    rule: str
    place: Place
    condition: str
    missing: str


@dataclass(frozen=True, slots=True)
class CoverageCount:
    """How many rules fired, how many outcomes of conditions were seen (two for each condition), and of how many."""

    fired: int
    rules: int
    seen: int
    outcomes: int

    @property
    def percent(self) -> float:
        """Of rules and outcomes together; 100 where there is nothing to cover."""
        total = self.rules + self.outcomes
        return 100.0 * (self.fired + self.seen) / total if total else 100.0

    def __add__(self, other: "CoverageCount") -> "CoverageCount":
        return CoverageCount(
            self.fired + other.fired, self.rules + other.rules, self.seen + other.seen, self.outcomes + other.outcomes
        )


class _CoveredRule:
    """One rule: whether it fired, and for each of its conditions which answers were seen."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.fired = False
        self._of_match, self._of_when = rule.conditions()
        self.conditions = [*self._of_match, *self._of_when]
        self.seen: list[set[bool]] = [set() for _ in self.conditions]

    def see(self, event: Event, result: RuleResult) -> None:
        self.fired |= result in FIRED or result is RuleResult.OBSERVED
        answers = [condition.holds(event) for condition in self._of_match]
        met = {condition.choice: False for condition in self._of_match}
        for condition, holds in zip(self._of_match, answers, strict=True):
            met[condition.choice] |= holds is True
        unmet = {choice for choice, is_met in met.items() if not is_met}
        for condition, holds, seen in zip(self._of_match, answers, self.seen, strict=False):
            if holds is not None and unmet <= {condition.choice} and (holds or unmet):
                seen.add(holds)
        if not unmet:
            for position in self.rule.asked(event):
                holds = self._of_when[position].holds(event)
                if holds is not None:
                    self.seen[len(self._of_match) + position].add(holds)


class Coverage:
    """Of one set of rules. A condition counts where it decides: one of `match` where all others are met, one of `when`
    where the evaluation comes to it."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = {rule.name: _CoveredRule(rule) for rule in rules.rules}

    def see(self, event: Event, explanations: Sequence[Explanation]) -> None:
        """Count what an event made of each rule of its source that was reached."""
        for explanation in explanations:
            covered = self._rules[explanation.rule]
            sources = covered.rule.sources
            if explanation.result is not RuleResult.NOT_REACHED and (sources is None or event.origin in sources):
                covered.see(event, explanation.result)

    def count(self) -> CoverageCount:
        total = CoverageCount(0, 0, 0, 0)
        for covered in self._rules.values():
            total += CoverageCount(int(covered.fired), 1, sum(map(len, covered.seen)), 2 * len(covered.seen))
        return total

    def gaps(self) -> Iterator[Gap]:
        """In the order of the rules."""
        for covered in self._rules.values():
            rule = covered.rule
            if not covered.fired:
                yield Gap(rule=rule.name, place=Place(rule.key, rule.mark), condition="", missing="never fired")
            for condition, seen in zip(covered.conditions, covered.seen, strict=True):
                if len(seen) < 2:
                    missing = "never tried" if not seen else "never false" if True in seen else "never true"
                    yield Gap(rule=rule.name, place=condition.place, condition=condition.wanted, missing=missing)
