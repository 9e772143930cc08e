"""What is counted of messages, rules and dead letters."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.observe.facts import (
    DeadLetterReplayed,
    EventOutcome,
    EventsStored,
    MessagesGivenUp,
    NotKept,
    ReplayOutcome,
)
from bridge.observe.metric_set import MetricSet, MetricTable, Named, counter, histogram, values_of
from bridge.observe.telemetry import Takes
from hub.acceptance import DeadLetter
from hub.facts import DeadLettersStored
from hub.flow import SuppressionCause

MAX_RULES = 200
"""Rules with series of their own; the others share `_other`."""

MAX_DEAD_LETTER_RULES = 100
"""Rules with dead-letter series of their own, the first by name; each has them for each of its sources."""

OTHER = "_other"
NONE = "_none"
"""The label `rule` of a dead letter that is no rule's."""

INGEST = {
    EventOutcome.ACCEPTED: "accepted",
    EventOutcome.DUPLICATE: "duplicate",
    EventOutcome.DEAD_LETTER: "malformed",
    EventOutcome.REJECTED: "rejected",
    EventOutcome.NO_MATCH: "filtered",
    EventOutcome.SUPPRESSED: "suppressed",
}
"""The label `outcome` of `pushbridge_ingest_messages_total`, by an event's end."""


_AGE = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who answers for sources and for rules, by their names; empty, or none, where a configuration does not say."""

    sources: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)


class IntakeMetrics(MetricTable):
    """Rules beyond a bound share one series, so that the number of series has one too."""

    _ingest = counter(
        "ingest_messages",
        "Messages taken, by what became of them.",
        source=Named.SOURCES,
        outcome=INGEST.values(),
    )
    _age = histogram(
        "event_age_seconds",
        "How old an event was by its own time when it was accepted; 0 for one of the future, or without a time.",
        _AGE,
        source=Named.SOURCES,
    )
    _given_up = counter(
        "ingest_messages_given_up",
        "Messages that the broker took back before they were in the store; they come again.",
        source=Named.SOURCES,
    )
    _rule_evaluations = counter(
        "rule_evaluations",
        "Rules that matched, matched with mode: observe, or could not be evaluated.",
        rule=Named.RULES,
        outcome=("match", "observed", "error"),
    )
    _suppressed = counter(
        "rule_suppressed",
        "Events of which a rule that fired sends nothing by itself, by the cause.",
        rule=Named.RULES,
        cause=values_of(SuppressionCause),
    )
    _withdrawn = counter(
        "rule_cancelled_notifications",
        "Notifications that waited, and that a rule's cancel ended.",
        rule=Named.RULES,
    )
    _dead_letters = counter(
        "dead_letters",
        "Messages, or one rule's share of them, that ended as dead letters.",
        source=(),
        rule=(),
        reason=(),
    )
    _not_kept = counter(
        "journal_not_kept",
        "Events that the journal does not keep, or not their values.",
        source=Named.SOURCES,
        reason=values_of(NotKept),
    )
    _replayed = counter(
        "dead_letters_replayed",
        "Replays of dead letters, by what became of each.",
        outcome=tuple(outcome.value for outcome in ReplayOutcome),
    )

    def __init__(self, metrics: MetricSet, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(metrics)
        self._clock = clock
        self._rules: frozenset[str] = frozenset()
        self._dead_letter_rules: frozenset[str] = frozenset()
        self._source_info = metrics.info("source", "Who answers for a source.", "source", "owner")
        self._rule_info = metrics.info("rule", "Who answers for a rule.", "rule", "owner")
        self.takes: Takes = {
            DeadLetterReplayed: self._dead_letter_replayed,
            EventsStored: self._events_stored,
            MessagesGivenUp: self._messages_given_up,
            DeadLettersStored: self._dead_letters_stored,
        }

    def declare_rules(self, rules: Sequence[str]) -> Sequence[str]:
        """Take over the rules of a configuration; returns the values of the label `rule`."""
        self._rules = frozenset(sorted(rules)[:MAX_RULES])
        return [OTHER, *sorted(self._rules)]

    def declare_owners(self, sources: Sequence[str], owners: Owners) -> None:
        """Say who answers for the sources, and for the rules that have series of their own."""
        self._source_info.declare((source, owners.sources.get(source, "")) for source in sources)
        self._rule_info.declare((rule, owners.rules.get(rule, "")) for rule in sorted(self._rules))

    def declare_dead_letters(self, dead_letters: Sequence[tuple[str, str, str]]) -> None:
        """Have a zero for each source, rule (empty: none) and reason of a dead letter that can happen."""
        rules = sorted({rule for _, rule, _ in dead_letters if rule})
        self._dead_letter_rules = frozenset(rules[:MAX_DEAD_LETTER_RULES])
        for source, rule, reason in {
            (source, self._dead_letter_rule(rule), reason) for source, rule, reason in dead_letters
        }:
            self._dead_letters.labels(source, rule, reason)

    def _events_stored(self, fact: EventsStored) -> None:
        alike: dict[tuple[str, EventOutcome, tuple[str, ...], tuple[str, ...]], int] = {}  # most of a batch are
        observed: Counter[str] = Counter()
        letters: list[DeadLetter] = []
        ages: dict[str, list[float]] = {}
        now = self._clock()
        for event in fact.events:
            source, outcome, decision = event.message.source, event.outcome, event.decision
            key = (source, outcome, decision.matched, decision.errors)
            alike[key] = alike.get(key, 0) + 1
            if outcome is EventOutcome.ACCEPTED and event.event is not None:
                age = max(0.0, now - event.event.time.timestamp())
                if source in ages:
                    ages[source].append(age)
                else:
                    ages[source] = [age]
            if event.not_kept is not None:
                self._not_kept.labels(source, event.not_kept.value).inc()
            for each in event.suppressed:
                self._suppressed.labels(self._rule(each.rule), each.cause.value).inc()
            for withdrawal in event.withdrawn:
                self._withdrawn.labels(self._rule(withdrawal.rule)).inc()
            if outcome is not EventOutcome.DUPLICATE and (decision.observed or event.dead_letters):
                observed.update(self._rule(each.rule) for each in decision.observed)
                letters += event.dead_letters
        for source, of_source in ages.items():
            self._age.observe_each((source,), of_source)
        taken, matched, failed = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
        for (source, outcome, fired, errors), count in alike.items():
            taken[source, INGEST[outcome]] += count
            if outcome is not EventOutcome.DUPLICATE:
                for rule in fired:
                    matched[self._rule(rule)] += count
                for rule in errors:
                    failed[self._rule(rule)] += count
        for (source, label), count in taken.items():
            self._ingest.labels(source, label).inc(count)
        for result, rules in (("match", matched), ("observed", observed), ("error", failed)):
            for rule, count in rules.items():
                self._rule_evaluations.labels(rule, result).inc(count)
        self._count_dead_letters(letters)

    def _dead_letters_stored(self, fact: DeadLettersStored) -> None:
        self._count_dead_letters(fact.dead_letters)

    def _dead_letter_replayed(self, fact: DeadLetterReplayed) -> None:
        self._replayed.labels(fact.outcome.value).inc()

    def _count_dead_letters(self, dead_letters: Iterable[DeadLetter]) -> None:
        for (source, rule, reason), count in Counter(
            (letter.source, self._dead_letter_rule(letter.rule), letter.reason) for letter in dead_letters
        ).items():
            self._dead_letters.labels(source, rule, reason).inc(count)

    def _messages_given_up(self, fact: MessagesGivenUp) -> None:
        for source, count in Counter(event.message.source for event in fact.events).items():
            self._given_up.labels(source).inc(count)

    def _rule(self, name: str) -> str:
        return name if name in self._rules else OTHER

    def _dead_letter_rule(self, name: str) -> str:
        if not name:
            return NONE
        return name if name in self._dead_letter_rules else OTHER
