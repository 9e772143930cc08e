"""A rule that sends at a time of the event: which times are taken, and what becomes of those that are none."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.acceptance import Reason
from rules.decision import Decision
from rules.engine import RuleSet
from tests.rules.support import NOW, SCOPE, event, load

PUSH = 'push: { to: "a", with: { title: x }, ttl: 1h }'


def rules_of(directory: Path, text: str, *, zone: str = "UTC") -> RuleSet:
    rules, problems = load(text, directory, replace(SCOPE, timezone=ZoneInfo(zone)))
    assert problems == []
    return rules


def decided(tmp_path: Path, schedule: str, **data: Any) -> Decision:
    rules = rules_of(tmp_path, f'rules: [ {{ name: r, schedule: {{ at: "{schedule}" }}, {PUSH} }} ]')
    return rules.route(event(data=data), now=NOW)


@pytest.mark.parametrize(
    ("value", "ahead"),
    [
        ((NOW + timedelta(hours=3)).isoformat(), timedelta(hours=3)),
        (int(NOW.timestamp()) + 60, timedelta(minutes=1)),
        ((NOW + timedelta(days=1)).strftime("%Y%m%d%H%M%S"), timedelta(days=1)),  # of the zone of the process: UTC
        ((NOW - timedelta(hours=3)).isoformat(), None),
        (NOW.isoformat(), None),
        ("", None),
        ("00000000", None),
    ],
)
def test_a_time_ahead_is_waited_for_and_any_other_is_at_once(
    value: object, ahead: timedelta | None, tmp_path: Path
) -> None:
    (intent,) = decided(tmp_path, "{{ data.at }}", at=value).intents
    one = intent.notification
    assert one.schedule_at == (None if ahead is None else NOW + ahead)
    assert one.expires_at == (one.schedule_at or NOW) + timedelta(hours=1), "ttl begins when it is sent"


@pytest.mark.parametrize(
    ("value", "said"),
    [("soon", "schedule.at: not a time"), ((NOW + timedelta(days=367)).isoformat(), "more than 366 days ahead")],
)
def test_what_is_no_time_costs_the_rule_and_is_explained(value: str, said: str, tmp_path: Path) -> None:
    decision = decided(tmp_path, "{{ data.at }}", at=value)
    assert [(failure.reason, said in failure.detail) for failure in decision.failures] == [(Reason.RENDER, True)]
    rules = rules_of(tmp_path, f'rules: [ {{ name: r, schedule: {{ at: "{{{{ data.at }}}}" }}, {PUSH} }} ]')
    (explained,) = rules.explain(event(data={"at": value}, time=NOW))
    assert explained.condition is not None
    assert explained.condition.place.key == "rules[0].schedule.at"
    assert said in explained.condition.error


def test_a_missing_value_is_a_failure_unless_the_rule_says_otherwise(tmp_path: Path) -> None:
    assert [failure.detail for failure in decided(tmp_path, "{{ data.at }}").failures] == ["data.at is missing"]
    assert decided(tmp_path, "{{ data.at | default('') }}").intents


def test_a_time_without_an_offset_is_in_the_zone_of_the_process(tmp_path: Path) -> None:
    local = datetime(NOW.year, NOW.month, NOW.day).replace(hour=23, minute=59)
    zone = "Pacific/Honolulu"
    rules = rules_of(tmp_path, f'rules: [ {{ name: r, schedule: {{ at: "{{{{ data.at }}}}" }}, {PUSH} }} ]', zone=zone)
    (intent,) = rules.route(event(data={"at": local.isoformat()}), now=NOW).intents
    assert intent.notification.schedule_at is not None
    assert intent.notification.schedule_at.utcoffset() == timedelta()
    assert intent.notification.schedule_at.hour == 9


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("schedule: {}", "there is no time"),
        ('schedule: { at: "{{ data." }', "schedule.at"),
        ("schedule: { at: tomorrow }", "schedule.at: not a time"),
        ('schedule: { at: "08:00" }', "schedule.at: not a time"),
        ("schedule: { at: 2024-13-01 }", "schedule.at: not a time: there is no such day"),
        ('schedule: { when: "{{ data.at }}" }', "unknown key"),
        ("schedule: { only_in: night }", "nothing stands under windows"),
    ],
)
def test_a_mistake_is_named(schedule: str, said: str, tmp_path: Path) -> None:
    _, problems = load(f"rules: [ {{ name: r, {schedule}, {PUSH} }} ]", tmp_path)
    assert any(said in problem for problem in problems), problems


def test_a_time_to_live_that_begins_at_the_event_does_not_go_with_a_schedule(tmp_path: Path) -> None:
    push = PUSH.replace("ttl: 1h", "ttl: 1h, ttl_from: time")
    _, problems = load(f'rules: [ {{ name: r, schedule: {{ at: "{{{{ data.at }}}}" }}, {push} }} ]', tmp_path)
    assert any("before the notification is sent" in problem for problem in problems), problems
