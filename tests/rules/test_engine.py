"""RuleSet.route: an event in, a decision out."""

from datetime import timedelta
from pathlib import Path

import pytest

from hub.acceptance import Reason
from hub.notification import NativeContent, Platform, TemplateContent
from rules.decision import Failure
from rules.engine import RuleSet
from rules.explain import RuleResult
from tests.rules.support import NOW, event, load

DEBIT = """
    rules:
      - name: debit
        source: bank
        match: { type: debit, data: { amount: { gte: 100 } } }
        push:
          to: "customer:{{ data.customer }}"
          with: { amount: "{{ data.amount }}", merchant: "{{ data.merchant.name }}" }
          ttl: 6h
"""
DATA = {"amount": 250, "customer": "c9", "merchant": {"name": "Migros"}}


def rules(text: str, directory: Path) -> RuleSet:
    compiled, problems = load(text, directory)
    assert problems == []
    return compiled


def test_an_event_that_no_rule_matches_yields_nothing(tmp_path: Path) -> None:
    decision = rules(DEBIT, tmp_path).route(event({"amount": 99}), now=NOW)
    assert (decision.intents, decision.failures, decision.matched, decision.errors) == ((), (), (), ())


def test_the_same_event_and_rule_give_the_same_id_and_nothing_else_does(tmp_path: Path) -> None:
    both = rules(DEBIT + DEBIT.replace("rules:", "").replace("name: debit", "name: again"), tmp_path)

    def ids(**attributes: str) -> list[str]:
        decision = both.route(event(DATA, **attributes), now=NOW)
        return [intent.notification.id for intent in decision.intents]

    first = ids()
    assert all(len(identity) == 32 and int(identity, 16) >= 0 for identity in first)
    assert ids() == first
    assert len({*first, *ids(id="e-2"), *ids(source="/other")}) == 6


def test_a_time_to_live_begins_now(tmp_path: Path) -> None:
    decision = rules(DEBIT, tmp_path).route(event(DATA, time=NOW - timedelta(days=3)), now=NOW)
    assert decision.intents[0].notification.expires_at == NOW + timedelta(hours=6)


def test_a_rule_that_cannot_render_costs_only_itself(tmp_path: Path) -> None:
    text = """
        rules:
          - { name: unsafe, push: { to: "{{ data.tag }}", with: { a: b } } }
          - { name: lacking, push: { to: x, with: { a: "{{ data.nope }}" } } }
          - { name: fine, push: { to: x, with: { a: b } } }
    """
    decision = rules(text, tmp_path).route(event({"tag": "x || vip"}), now=NOW)
    assert decision.failures == (
        Failure(
            rule="unsafe",
            reason=Reason.TAG_UNSAFE,
            detail="data.tag holds a space, which a tag may not hold:"
            " | replace(' ', '-') makes it one, in the tags of the phones too",
        ),
        Failure(rule="lacking", reason=Reason.RENDER, detail="data.nope is missing"),
    )
    assert [intent.rule for intent in decision.intents] == ["fine"]
    assert decision.matched == ("unsafe", "lacking", "fine")


def test_a_clash_of_types_is_an_error_and_no_match(tmp_path: Path) -> None:
    decision = rules(DEBIT, tmp_path).route(event({**DATA, "amount": "250"}), now=NOW)
    assert (decision.matched, decision.errors) == ((), ("debit",))


def test_a_when_without_an_answer_is_an_error_and_no_match(tmp_path: Path) -> None:
    text = "rules: [ { name: r, when: data.a > 1, push: { to: x, with: { a: b } } } ]"
    compiled = rules(text, tmp_path)
    assert compiled.route(event({}), now=NOW).errors == ("r",)
    assert compiled.route(event({"a": 2}), now=NOW).matched == ("r",)
    assert compiled.route(event({"a": 1}), now=NOW).errors == ()


def test_a_rule_that_stops_ends_the_evaluation(tmp_path: Path) -> None:
    text = """
        rules:
          - { name: quiet, match: { data: { test: true } }, stop: true }
          - { name: loud, push: { to: x, with: { a: b } } }
    """
    compiled = rules(text, tmp_path)
    assert compiled.route(event({"test": True}), now=NOW).matched == ("quiet",)
    assert compiled.route(event({"test": False}), now=NOW).matched == ("loud",)


def test_a_rule_that_observes_fires_stops_and_fails_nothing(tmp_path: Path) -> None:
    text = """
        rules:
          - { name: would-say, mode: observe, push: { to: "t:{{ data.tag }}", with: { a: b } } }
          - { name: would-stop, mode: observe, stop: true }
          - { name: loud, push: { to: x, with: { a: b } } }
    """
    compiled, (warning,) = load(text, tmp_path)
    assert "does nothing while the rule has mode: observe" in str(warning)
    decision = compiled.route(event({"tag": "news"}), now=NOW)
    assert (decision.matched, [intent.rule for intent in decision.intents]) == (("loud",), ["loud"])
    assert [(each.rule, len(each.notifications)) for each in decision.observed] == [("would-say", 1), ("would-stop", 0)]
    failing = compiled.route(event({"tag": "a || b"}), now=NOW)
    assert (failing.failures, failing.observed[0].failure is not None) == ((), True)
    explained = compiled.explain(event({"tag": "a || b"}))
    assert [each.result for each in explained] == [RuleResult.OBSERVED, RuleResult.OBSERVED, RuleResult.FIRED]
    assert (explained[0].condition is not None, explained[1].condition) == (True, None)


@pytest.mark.parametrize("mode", ["", "mode: observe, "])
def test_a_rule_that_observes_touches_no_state_of_flow_control(mode: str, tmp_path: Path) -> None:
    text = f"""
        rules:
          - {{ name: once, {mode}dedupe: {{ key: "{{{{ id }}}}", for: 1h }}, push: {{ to: x, with: {{ a: b }} }} }}
          - name: few
            {mode.rstrip(", ")}
            throttle: {{ key: "{{{{ id }}}}", max: 1, per: 1h, on_excess: digest }}
            push: {{ to: x, with: {{ a: b }} }}
          - {{ name: withdraws, {mode}cancel: {{ key: "{{{{ id }}}}" }} }}
    """
    compiled, _ = load(text, tmp_path)
    decision = compiled.route(event(DATA), now=NOW)
    all_of_them = ("once", "few", "withdraws")
    assert tuple(each.rule for each in decision.flow) == (() if mode else all_of_them)
    assert decision.matched == (() if mode else all_of_them)
    assert tuple(each.rule for each in decision.observed) == (all_of_them if mode else ())


def test_a_rule_of_another_source_does_not_fire(tmp_path: Path) -> None:
    assert rules(DEBIT, tmp_path).route(event(DATA, origin="hr"), now=NOW).matched == ()


def test_template_and_native_contents_are_notifications_of_their_own(tmp_path: Path) -> None:
    text = """
        rules:
          - name: both
            push:
              platforms: [fcm, wns]
              to: x
              with: { a: "{{ data.a }}" }
              native: { apns: { payload: { aps: { content-available: 1 } } } }
    """
    template, native = (i.notification for i in rules(text, tmp_path).route(event({"a": 1}), now=NOW).intents)
    assert template.content == TemplateContent(properties={"a": "1"})
    assert template.platforms == frozenset({Platform.FCM, Platform.WNS})
    assert native.content == NativeContent(platform=Platform.APNS, payload=b'{"aps":{"content-available":1}}')
    assert native.platforms is None
    assert native.id != template.id


def test_half_of_what_a_rule_says_is_never_said(tmp_path: Path) -> None:
    text = """
        rules:
          - name: both
            push: { to: x, with: { a: b }, native: { apns: { payload: { a: "{{ data.nope }}" } } } }
    """
    decision = rules(text, tmp_path).route(event(), now=NOW)
    assert decision.intents == ()
    assert len(decision.failures) == 1
