"""What is counted of messages, sources, rules and dead letters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.observe.facts import (
    DeadLetterReplayed,
    EventOutcome,
    EventsStored,
    MessagesGivenUp,
    NotKept,
    ReplayOutcome,
    SchemaLookedUp,
    SourceChanged,
    SourceState,
    SourceStatus,
)
from bridge.observe.metric_set import MetricSet, Named, values_of
from bridge.observe.telemetry import Takes
from bridge.schemas.client import LookupResult
from hub.acceptance import DeadLetter
from hub.facts import DeadLettersStored

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
}
"""The label `outcome` of `pushbridge_ingest_messages_total`, by an event's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who answers for sources and for rules, by their names; empty, or none, where a configuration does not say."""

    sources: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)


class IntakeMetrics:
    """Rules beyond a bound share one series, so that the number of series has one too."""

    def __init__(self, metrics: MetricSet) -> None:
        counter, gauge = metrics.counter, metrics.gauge
        self._rules: frozenset[str] = frozenset()
        self._dead_letter_rules: frozenset[str] = frozenset()
        self._rebuilds_counted: dict[str, int] = {}
        self._limits_counted: dict[str, tuple[float, int]] = {}
        self._rebalances_counted: dict[str, int] = {}
        self._ingest = counter(
            "ingest_messages",
            "Messages taken, by what became of them.",
            source=Named.SOURCES,
            outcome=INGEST.values(),
        )
        self._given_up = counter(
            "ingest_messages_given_up",
            "Messages that the broker took back before they were in the store; they come again.",
            source=Named.SOURCES,
        )
        waits = "Messages that wait at the broker; no series where the broker does not say."
        self._lag = gauge("ingest_lag_messages", waits, source=Named.SOURCES)
        self._oldest_unacked = gauge(
            "ingest_oldest_unacked_timestamp_seconds",
            "When the oldest message not yet settled was taken, 0 when there is none.",
            source=Named.SOURCES,
        )
        self._source_up = gauge(
            "source_up",
            "1 while messages of the source can flow, 0 while it connects, is refused or stalls.",
            source=Named.SOURCES,
        )
        self._last_message = gauge(
            "source_last_message_timestamp_seconds",
            "When this process took a message of the source the last time, 0 before the first.",
            source=Named.SOURCES,
        )
        self._expected_by = gauge(
            "source_expected_by_timestamp_seconds",
            "When the next message of a source with expect_every has to be there, 0 without expect_every.",
            source=Named.SOURCES,
        )
        self._limited_seconds = counter(
            "source_rate_limited_seconds",
            "Seconds in which messages waited at the broker, as the source's rate allowed no more.",
            source=Named.SOURCES,
        )
        self._limited_requests = counter(
            "source_rate_limited_requests",
            "Requests that were told to come again later, as the source's rate allowed no more.",
            source=Named.SOURCES,
        )
        self._source_rebuilds = counter("source_rebuilds", "Connections of a source built again.", source=Named.SOURCES)
        self._schema_lookups = counter(
            "schema_lookups",
            "Lookups of schemas at a registry, by how they ended.",
            source=Named.REGISTRIES,
            result=values_of(LookupResult),
        )
        self._schemas_cached = gauge("schemas_cached", "Schemas of a registry that are kept.", source=Named.REGISTRIES)
        self._schema_awaited = gauge(
            "schema_awaited_since_timestamp_seconds",
            "Since when messages of a source wait for a schema, 0 while none does.",
            source=Named.REGISTRIES,
        )
        self._rebalances = counter(
            "source_rebalances",
            "Rebalances of a source's group of consumers, in each of which its partitions are dealt out anew.",
            source=Named.SOURCES,
        )
        self._source_info = metrics.info("source", "Who answers for a source.", "source", "owner")
        self._rule_info = metrics.info("rule", "Who answers for a rule.", "rule", "owner")
        self._rule_evaluations = counter(
            "rule_evaluations",
            "Rules that matched, or could not be evaluated.",
            rule=Named.RULES,
            outcome=("match", "error"),
        )
        self._dead_letters = counter(
            "dead_letters",
            "Messages, or one rule's share of them, that ended as dead letters.",
            source=(),
            rule=(),
            reason=(),
        )
        self._not_kept = counter(
            "journal_not_kept",
            "Events that the journal does not keep, or not their values.",
            source=Named.SOURCES,
            reason=values_of(NotKept),
        )
        self._replayed = counter(
            "dead_letters_replayed",
            "Replays of dead letters, by what became of each.",
            outcome=tuple(outcome.value for outcome in ReplayOutcome),
        )
        self.takes: Takes = {
            DeadLetterReplayed: self._dead_letter_replayed,
            EventsStored: self._events_stored,
            MessagesGivenUp: self._messages_given_up,
            SchemaLookedUp: self._schema_looked_up,
            SourceChanged: self._source_changed,
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
        for source, rule, reason in dead_letters:
            self._dead_letters.labels(source, self._dead_letter_rule(rule), reason)

    def set_sources(self, statuses: Sequence[SourceStatus]) -> None:
        """Before a scrape."""
        for status in statuses:
            if status.backlog is None:  # not known is not none
                self._lag.remove(status.name)
            else:
                self._lag.labels(status.name).set(status.backlog)
            self._oldest_unacked.labels(status.name).set(status.unsettled_since)
            self._source_up.labels(status.name).set(_is_up(status))
            self._last_message.labels(status.name).set(status.last_message)
            self._expected_by.labels(status.name).set(status.expected_by)
            seconds, requests = self._limits_counted.get(status.name, (0.0, 0))
            self._limited_seconds.labels(status.name).inc(_grown(seconds, status.limited_seconds))
            self._limited_requests.labels(status.name).inc(_grown(requests, status.limited_requests))
            self._limits_counted[status.name] = (status.limited_seconds, status.limited_requests)
            rebalances = self._rebalances_counted.get(status.name, 0)
            self._rebalances.labels(status.name).inc(_grown(rebalances, status.rebalances))
            self._rebalances_counted[status.name] = status.rebalances

    def set_schemas(self, statuses: Sequence[SourceStatus], kept: Mapping[str, int]) -> None:
        """Before a scrape. `kept` counts schemas by source, for sources with a registry."""
        for status in statuses:
            if status.name in kept:
                waits = status.state is SourceState.AWAITING_SCHEMA
                self._schemas_cached.labels(status.name).set(kept[status.name])
                self._schema_awaited.labels(status.name).set(status.since if waits else 0)

    def _schema_looked_up(self, fact: SchemaLookedUp) -> None:
        self._schema_lookups.labels(fact.source, fact.result.value).inc()

    def _events_stored(self, fact: EventsStored) -> None:
        fresh = [event for event in fact.events if event.outcome is not EventOutcome.DUPLICATE]
        taken = Counter((event.message.source, INGEST[event.outcome]) for event in fact.events)
        matched = Counter(self._rule(rule) for event in fresh for rule in event.decision.matched)
        failed = Counter(self._rule(rule) for event in fresh for rule in event.decision.errors)
        for (source, outcome), count in taken.items():
            self._ingest.labels(source, outcome).inc(count)
        for event in fact.events:
            if event.not_kept is not None:
                self._not_kept.labels(event.message.source, event.not_kept.value).inc()
        for outcome, rules in (("match", matched), ("error", failed)):
            for rule, count in rules.items():
                self._rule_evaluations.labels(rule, outcome).inc(count)
        self._count_dead_letters(letter for event in fresh for letter in event.dead_letters)

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

    def _source_changed(self, fact: SourceChanged) -> None:
        status = fact.status
        self._source_up.labels(status.name).set(_is_up(status))
        counted = self._rebuilds_counted.get(status.name, 0)
        self._source_rebuilds.labels(status.name).inc(_grown(counted, status.rebuilds))
        self._rebuilds_counted[status.name] = status.rebuilds

    def _rule(self, name: str) -> str:
        return name if name in self._rules else OTHER

    def _dead_letter_rule(self, name: str) -> str:
        if not name:
            return NONE
        return name if name in self._dead_letter_rules else OTHER


def _grown(counted: float, total: float) -> float:
    """By how much a total is more than was counted; that of a source which a configuration replaced begins at 0."""
    return total - counted if counted <= total else total


def _is_up(status: SourceStatus) -> bool:
    return status.ready and status.state is not SourceState.STOPPED
