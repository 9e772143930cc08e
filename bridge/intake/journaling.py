"""What is kept of each event, to say afterwards why: its conditions that failed, and for a shorter time its values."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

from bridge.config.models.journal import JournalSettings
from bridge.explanation import condition_without_values, kind_of, plain, withheld_at
from bridge.observe.facts import EventOutcome, InFlightEvent, JournalDraft, NotKept
from hub import exact_json
from hub.acceptance import JournalEntry
from hub.people import people_of
from rules.engine import RuleSet
from rules.event import MISSING, Event
from rules.explain import Explanation

MAX_CONTENT = 32 * 1024
"""Bytes that are kept of an event's values; of a larger event the outcome alone is kept."""

MAX_RULES = 50
"""Rules whose failed conditions are kept of an event, at most."""


class Journaling:
    """Drafts entries while events are routed, and makes them when they are accepted.

    Of events that no rule matched, so many a second of each source are kept: a topic may hold little else. Conditions
    are kept of those, and where values are not kept or not all of them, of so many that matched: to ask 20 rules takes
    ten times as long as to route an event. Else `why` asks the rules again of the values.
    """

    def __init__(
        self, settings: JournalSettings, rules: RuleSet, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._monotonic = monotonic
        # By source and whether a rule matched: a second, and how many events were explained in it.
        self._explained: dict[tuple[str, bool], tuple[int, int]] = {}
        self._can_ask_again = settings.bodies > 0 and not settings.redact
        self._redacted = [tuple(path.split(".")) for path in settings.redact]

    def draft(self, in_flight: InFlightEvent) -> JournalDraft | None:
        """None for an event that is not kept: refused, or one too many that no rule matched."""
        if self._settings.off or in_flight.outcome is EventOutcome.REJECTED:
            return None
        event = in_flight.event
        if event is None:
            return JournalDraft()
        if in_flight.decision.matched or in_flight.decision.observed:
            if (self._can_ask_again and not in_flight.sensitive) or not self._has_room(event.origin, is_matched=True):
                return JournalDraft(content=self._content(in_flight, event, ()))
        elif not self._has_room(event.origin):
            in_flight.not_kept = NotKept.NO_MATCH
            return None
        explanations = self._rules.explain(event, own_only=True, most=MAX_RULES)
        return JournalDraft(explanations, self._content(in_flight, event, explanations))

    def entry(self, in_flight: InFlightEvent) -> JournalEntry | None:
        """What is written with the event."""
        draft = in_flight.draft
        if draft is None or not in_flight.event_id:
            return None
        event, decision = in_flight.event, in_flight.decision
        detail: dict[str, Any] = {"rules": decision.matched}
        if event is not None:
            detail["type"] = event.type
        if in_flight.message.held_back:
            detail["held_back"] = in_flight.message.held_back
        if in_flight.reason is not None:
            detail |= {"stage": in_flight.stage.value, "reason": in_flight.reason.value, "detail": in_flight.detail}
        if decision.failures:
            detail["failures"] = [
                {"rule": each.rule, "reason": each.reason.value, "detail": each.detail} for each in decision.failures
            ]
        if decision.observed:
            detail["observed"] = [
                {
                    "rule": each.rule,
                    "notifications": len(each.notifications),
                    **({} if each.failure is None else {"failure": each.failure.detail}),
                }
                for each in decision.observed
            ]
        if decision.intents:
            detail["notifications"] = [[each.rule, each.notification.id] for each in decision.intents]
        if draft.explanations:
            detail["explanations"] = [condition_without_values(each) for each in draft.explanations]
        people = {key for each in decision.intents for key in people_of(each.notification)}
        person = in_flight.person
        # Values of an event that is about several persons could not be found again to be erased.
        has_values = bool(person) or len(people) <= 1
        if draft.content is not None and not has_values:
            in_flight.not_kept = NotKept.SEVERAL_PERSONS
        if in_flight.not_kept is not None:
            detail["not_kept"] = in_flight.not_kept.value
        return JournalEntry(
            source=in_flight.message.source,
            event_id=in_flight.event_id,
            outcome=in_flight.outcome.value,
            detail=orjson.dumps(detail),
            content=draft.content if has_values else None,
            trace=in_flight.trace,
            person=person or next(iter(people), ""),
        )

    def _has_room(self, source: str, *, is_matched: bool = False) -> bool:
        second = int(self._monotonic())
        then, kept = self._explained.get((source, is_matched), (0, 0))
        kept = kept if then == second else 0
        if kept >= self._settings.no_match_per_second:
            return False
        self._explained[source, is_matched] = (second, kept + 1)
        return True

    def _content(self, in_flight: InFlightEvent, event: Event, explanations: Sequence[Explanation]) -> bytes | None:
        """The values, as JSON; None where none are kept, or they are too many."""
        if self._settings.bodies <= 0:
            return None
        if in_flight.sensitive:
            in_flight.not_kept = NotKept.SENSITIVE
            return None
        seen = {
            each.rule: {path: self._shown(path, value) for path, value in each.condition.seen.items()}
            for each in explanations
            if each.condition is not None
        }
        content = {
            "subject": event.subject,
            "time": event.time.isoformat().replace("+00:00", "Z"),
            "source": event.source,
            "data": self._without_redacted("data", event.data),
            "meta": self._without_redacted("meta", event.meta),
            "seen": seen,
        }
        written = _written(content)
        if written is None:
            return None
        if len(written) <= MAX_CONTENT:
            return written
        in_flight.not_kept = NotKept.TOO_LARGE
        return None

    def _shown(self, path: str, value: Any) -> Any:
        if value is MISSING:
            return {"missing": True}
        steps = tuple(path.replace("[", ".").replace("]", "").split("."))
        if any(steps[: len(redacted)] == redacted for redacted in self._redacted):
            return {"kind": kind_of(value)}
        if any(redacted[: len(steps)] == steps for redacted in self._redacted):
            return {"kind": kind_of(value)}
        return {"value": value}

    def _without_redacted(self, root: str, value: Any) -> Any:
        for first, *path in self._redacted:
            if first == root:
                value = withheld_at(value, path)
        return value


def _written(content: Mapping[str, Any]) -> bytes | None:
    """As JSON whose numbers have the digits that came, to be judged alike later; None for what it cannot hold."""
    try:
        return orjson.dumps(content, _exact)
    except TypeError:  # an integer beyond 64 bits, or half a character
        pass
    try:
        return exact_json.dumps(content, _exact, wide=True)
    except (TypeError, ValueError):
        return None


def _exact(value: Any) -> Any:
    """As `plain`, but a decimal stays a number."""
    if isinstance(value, Decimal) and value.is_finite():
        with suppress(ValueError):  # too large to write out: its text stays
            return orjson.Fragment(exact_json.plain(value))
    return dict(value) if isinstance(value, Mapping) else plain(value)
