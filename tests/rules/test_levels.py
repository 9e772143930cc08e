"""`push.level`: an audience picks the levels of a topic that are at or below an amount."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.tags import MaxTags
from rules.engine import RuleSet
from rules.explain import RuleResult
from rules.scope import HubScope, Scope
from tests.rules.support import NOW, event, load

TOPICS = {"debits": [Decimal(100), Decimal("99.95") + 400, Decimal(1000)], "Offers": []}
SCOPE = Scope(sources=frozenset({"bank"}), hubs={"app": HubScope(topics=TOPICS)}, default_hub="app")
RULE = """
    rules:
      - name: debit
        push: {{ to: "{to}", level: "{{{{ data.amount }}}}", with: {{ title: x }} }}
"""


def rules_of(to: str, directory: Path) -> RuleSet:
    rules, problems = load(RULE.format(to=to), directory, SCOPE)
    assert problems == []
    return rules


def audiences(rules: RuleSet, amount: Any) -> list[str]:
    decision = rules.route(event({"amount": amount, "id": "c1"}), now=NOW)
    assert decision.failures == ()
    return [str(intent.notification.audience) for intent in decision.intents]


@pytest.mark.parametrize(
    ("amount", "audience"),
    [
        (5000, "topic:debits:100 || topic:debits:499.95 || topic:debits:1000"),
        (1000, "topic:debits:100 || topic:debits:499.95 || topic:debits:1000"),
        (999.99, "topic:debits:100 || topic:debits:499.95"),
        (Decimal("499.95"), "topic:debits:100 || topic:debits:499.95"),
        (499.94, "topic:debits:100"),
        ("100.00", "topic:debits:100"),
        (99.99, None),
        (0, None),
    ],
)
def test_the_levels_up_to_the_amount_are_meant(amount: Any, audience: str | None, tmp_path: Path) -> None:
    assert audiences(rules_of("topic:Debits", tmp_path), amount) == ([] if audience is None else [audience])


def test_what_stands_beside_the_topic_stays_and_no_phone_is_reached_by_what_is_left(tmp_path: Path) -> None:
    both = rules_of("customer:{{ data.id }} && topic:debits && !vip", tmp_path)
    assert audiences(both, 150) == ["customer:c1 && topic:debits:100 && !vip"]
    assert audiences(both, 600) == ["customer:c1 && (topic:debits:100 || topic:debits:499.95) && !vip"]
    assert audiences(both, 50) == []
    either = rules_of("customer:{{ data.id }} && topic:debits || team:fraud", tmp_path)
    assert audiences(either, 50) == ["team:fraud"]


def test_an_amount_below_the_lowest_level_is_a_condition_that_is_explained(tmp_path: Path) -> None:
    rules = rules_of("topic:debits", tmp_path)
    few, enough = event({"amount": 50}), event({"amount": 150})
    assert rules.route(few, now=NOW).matched == ()
    (explanation,) = rules.explain(few)
    assert explanation.result is RuleResult.NOT_MATCHED
    assert explanation.condition is not None
    assert (explanation.condition.wanted, explanation.condition.seen) == (
        "level >= 100 of topic:debits",
        {"data.amount": Decimal(50)},
    )
    assert explanation.condition.place.key == "rules[0].push.level"
    (fired,) = rules.explain(enough)
    assert fired.result is RuleResult.FIRED
    (condition,) = rules.rules[0].conditions()[1]
    assert [condition.holds(each) for each in (few, enough)] == [False, True]


@pytest.mark.parametrize("amount", ["much", "", None, True, -1, "1e99", "NaN", "Infinity", [100], "9" * 40])
def test_what_is_no_amount_is_a_failure_of_the_rule_and_reaches_nobody(amount: Any, tmp_path: Path) -> None:
    rules = rules_of("topic:debits || everyone-else", tmp_path)
    decision = rules.route(event({"amount": amount}), now=NOW)
    assert decision.intents == ()
    assert [failure.rule for failure in decision.failures] == ["debit"]
    (explanation,) = rules.explain(event({"amount": amount}))
    assert explanation.result is RuleResult.FAILED


@pytest.mark.parametrize(
    ("push", "said"),
    [
        ('to: "topic:offers", level: "{{ data.amount }}"', "rules[0].push.level: no topic of the audience has levels"),
        ('to: everyone, level: "{{ data.amount }}"', "rules[0].push.level: no topic of the audience has levels"),
        ('to: "vip && !topic:debits", level: "{{ data.amount }}"', "!topic:debits: a level has no meaning behind !"),
        ('to: "topic:debits"', "warning: topic:debits alone reaches its users whatever level they chose"),
        ('to: "(a || b) && (c || d) && topic:debits", level: "{{ data.amount }}"', "with a tag for each level: 7 tags"),
        ('to: "topic:debits", level: "{{ data.amount"', "rules[0].push.level"),
    ],
)
def test_what_makes_no_sense_is_named(push: str, said: str, tmp_path: Path) -> None:
    text = f"rules:\n  - name: debit\n    push: {{ {push}, with: {{ title: x }} }}\n"
    _, problems = load(text, tmp_path, SCOPE)
    assert len(problems) == 1
    assert said in problems[0]


def test_a_hub_that_allows_more_tags_takes_more_levels(tmp_path: Path) -> None:
    limits = MaxTags(only_or=100, only_and=100, mixed=100)
    scope = Scope(sources=frozenset(), hubs={"app": HubScope(topics=TOPICS, max_tags=limits)}, default_hub="app")
    _, problems = load(RULE.format(to="(a || b) && (c || d) && topic:debits"), tmp_path, scope)
    assert problems == []
