"""What the journal keeps of an event: why, without values; and values, without those that are not to be kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.config.models.journal import JournalSettings
from bridge.intake.journaling import MAX_CONTENT, Journaling
from bridge.intake.pipeline import Pipeline
from bridge.observe.facts import NotKept
from bridge.wiring import routes_of
from connectors.base import Message
from hub.acceptance import Ingest, JournalEntry
from tests.bridge.examples import FakeIntakeObserver, read
from tests.fakes.accepting import FakeAccepting

CONFIGURATION = """
sources:
  bank: { http: { path: /in/bank }, map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" } }
  other: { http: { path: /in/other }, map: { id: "{{ data.id }}" } }
hubs: { app: {} }
rules:
  - { name: of-another, source: other, match: { data: { x: 1 } }, push: { to: everyone, with: { t: x } } }
  - name: debit
    source: bank
    match: { data: { iban: CH1, card: { number: { exists: true } } } }
    push: { to: { user: "{{ data.user }}" }, with: { t: "{{ data.amount }}" } }
"""
PAID = {"id": "e1", "kind": "debit", "iban": "CH1", "user": "ann", "amount": 5, "card": {"number": "4111"}}


class Bench:
    def __init__(self, directory: Path, configuration: str = CONFIGURATION, **journal: Any) -> None:
        settings = read(directory, configuration)
        self.now = 0.0
        journaling = Journaling(JournalSettings(**journal), settings.rules, monotonic=lambda: self.now)
        self.hub = FakeAccepting()
        self.observer = FakeIntakeObserver()
        self.pipeline = Pipeline(
            routes_of(settings), settings.rules, self.hub, observer=self.observer, journaling=journaling
        )

    async def take(self, *events: Any, source: str = "bank") -> list[JournalEntry | None]:
        """The entries of these events."""
        bodies = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        await self.pipeline.handle([Message(source=source, body=body, id="m1", is_alone=False) for body in bodies])
        ingests: list[Ingest] = list(self.hub.arrivals)[-len(events) :]
        return [ingest.journal for ingest in ingests]

    async def one(self, event: Any, source: str = "bank") -> tuple[JournalEntry, Any, Any]:
        """Its entry, with detail and content read."""
        (entry,) = await self.take(event, source=source)
        assert entry is not None
        return entry, json.loads(entry.detail), None if entry.content is None else json.loads(entry.content)


async def test_of_an_event_that_fired_the_rules_and_notifications_are_kept(tmp_path: Path) -> None:
    entry, detail, content = await Bench(tmp_path).one(PAID)
    assert (entry.source, entry.event_id, entry.outcome, entry.person) == ("bank", "e1", "accepted", "ann")
    assert detail["rules"] == ["debit"]
    assert [rule for rule, _ in detail["notifications"]] == ["debit"]
    assert content["data"] == PAID


async def test_of_an_event_that_no_rule_matched_the_conditions_of_its_sources_rules_are_kept(tmp_path: Path) -> None:
    entry, detail, content = await Bench(tmp_path).one({**PAID, "iban": "DE99 secret"})
    (rule,) = detail["explanations"]
    assert entry.outcome == "no_match"
    assert rule["condition"]["place"].endswith("match.data.iban")
    assert rule["condition"]["seen"] == {"data.iban": {"kind": "text of 11 characters"}}
    assert content["seen"] == {"debit": {"data.iban": {"value": "DE99 secret"}}}
    assert b"DE99" not in entry.detail


async def test_what_is_redacted_is_nowhere_and_its_kind_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, redact=["data.iban", "data.card.number", "data.list.code"])
    event = {**PAID, "iban": "DE99 secret", "list": [{"code": "1234"}, {"other": 1}]}
    entry, _, content = await bench.one(event)
    assert content["data"]["iban"] == "(text of 11 characters)"
    assert content["data"]["card"] == {"number": "(text of 4 characters)"}
    assert content["data"]["list"] == [{"code": "(text of 4 characters)"}, {"other": 1}]
    assert content["seen"] == {"debit": {"data.iban": {"kind": "text of 11 characters"}}}
    assert entry.content is not None
    assert not any(secret in entry.content for secret in (b"DE99", b"4111", b"1234"))


@pytest.mark.parametrize("journal", [{"redact": ["data.iban"]}, {"bodies": 0}], ids=str)
async def test_where_values_are_missing_the_conditions_are_kept_of_an_event_that_fired_too(
    tmp_path: Path, journal: dict[str, Any]
) -> None:
    bench = Bench(tmp_path, **journal)
    _, detail, _ = await bench.one(PAID)
    assert [(each["rule"], each["result"]) for each in detail["explanations"]] == [("debit", "fired")]
    assert ": rules[1]" in detail["explanations"][0]["place"]
    bench = Bench(tmp_path, **journal, no_match_per_second=1)  # explaining takes longer than routing: it has a bound
    kept = [json.loads(entry.detail) for entry in await bench.take(PAID, PAID) if entry is not None]
    assert ["explanations" in detail for detail in kept] == [True, False]


async def test_no_values_are_kept_where_none_are_to_be_or_they_are_too_many(tmp_path: Path) -> None:
    _, detail, content = await Bench(tmp_path, bodies=0).one({**PAID, "iban": "DE"})
    assert content is None
    assert detail["explanations"][0]["condition"]["seen"] == {"data.iban": {"kind": "text of 2 characters"}}
    bench = Bench(tmp_path)
    _, detail, content = await bench.one({**PAID, "text": "x" * MAX_CONTENT})
    assert (content, detail["not_kept"]) == (None, "too_large")
    assert [event.not_kept for event in bench.observer.stored] == [NotKept.TOO_LARGE]


async def test_an_event_that_ended_before_the_rules_says_where(tmp_path: Path) -> None:
    entry, detail, content = await Bench(tmp_path).one(b"{")
    assert (entry.event_id, entry.outcome, content) == ("m1", "dead_letter", None)
    assert (detail["stage"], detail["reason"]) == ("decode", "decode")
    _, detail, _ = await Bench(tmp_path).one({**PAID, "user": "a b"})
    assert detail["failures"][0]["reason"] == "tag_unsafe"


async def test_of_what_no_rule_matches_so_many_a_second_of_each_source_are_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, no_match_per_second=2)
    unmatched = {**PAID, "iban": "x"}
    assert [entry is not None for entry in await bench.take(*[unmatched] * 4)] == [True, True, False, False]
    assert [event.not_kept for event in bench.observer.stored] == [None, None, NotKept.NO_MATCH, NotKept.NO_MATCH]
    assert (await bench.take({"id": "o"}, source="other"))[0] is not None
    assert (await bench.take(PAID))[0] is not None
    bench.now = 1.0
    assert (await bench.take(unmatched))[0] is not None


async def test_nothing_is_kept_where_the_journal_is_off(tmp_path: Path) -> None:
    assert await Bench(tmp_path, off=True).take(PAID, {**PAID, "iban": "x"}, b"{") == [None] * 3


@pytest.mark.parametrize(
    ("value", "outcome"), [(float("nan"), "dead_letter"), ("\ud800", "dead_letter"), (10**40, "accepted")]
)
async def test_odd_values_stop_no_event(tmp_path: Path, value: object, outcome: str) -> None:
    entry, _, content = await Bench(tmp_path).one({**PAID, "extra": value})
    assert entry.outcome == outcome
    assert outcome != "accepted" or content["data"]["extra"] == value


@pytest.mark.parametrize("place", ["source", "rule"])
async def test_of_a_sensitive_event_the_rules_are_kept_and_no_value(tmp_path: Path, place: str) -> None:
    written = {
        "source": CONFIGURATION.replace("path: /in/bank }", "path: /in/bank }, sensitive: true"),
        "rule": CONFIGURATION.replace("push: { to: { user", "push: { sensitive: true, to: { user"),
    }
    bench = Bench(tmp_path, written[place])
    entry, detail, content = await bench.one(PAID)
    assert (content, detail["rules"], detail["not_kept"]) == (None, ["debit"], NotKept.SENSITIVE.value)
    assert b"4111" not in entry.detail
    (intent,) = bench.hub.arrivals[-1].notifications
    assert intent.sensitive
    entry, detail, content = await bench.one({**PAID, "id": "e2", "iban": "DE99"})
    assert (content is None, entry.outcome) == (place == "source", "no_match")
