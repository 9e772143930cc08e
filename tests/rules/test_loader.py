"""Rules and defaults as written: what is inherited, and what is complained of."""

from pathlib import Path

import pytest

from hub.notification import EVERYONE, Priority
from hub.rate import Rate
from rules.scope import Scope
from tests.rules.support import NOW, event, load


@pytest.mark.parametrize(
    ("rate", "complaint"),
    [
        ("{ burst: 3 }", "per_second is missing"),
        ("{ per_second: 0 }", "input should be greater than 0"),
        ("{ per_second: fast }", "input should be a valid number"),
        ("{ per_second: 1, burst: 0.5 }", "input should be a valid integer"),
        ("{ per_secnd: 1 }", "did you mean per_second?"),
    ],
)
def test_a_rate_that_is_none_is_named(tmp_path: Path, rate: str, complaint: str) -> None:
    text = f"rules: [ {{ name: a, rate: {rate}, push: {{ to: x, with: {{ a: b }} }} }} ]"
    _, problems = load(text, tmp_path)
    assert any(complaint in str(each) for each in problems), problems


def test_a_rule_has_the_rate_that_it_says(tmp_path: Path) -> None:
    text = "rules: [ { name: a, rate: { per_second: 16.98, burst: 100 }, push: { to: x, with: { a: b } } } ]"
    compiled, problems = load(text, tmp_path)
    assert (problems, compiled.rules[0].rate) == ([], Rate(per_second=16.98, burst=100))


def test_a_rule_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    text = """
        defaults: { push: { ttl: 1h, priority: normal, collapse: "{{ id }}", hub: apple-only, platforms: [apns] } }
        rules:
          - { name: inherits, push: { to: everyone, with: { a: b } } }
          - { name: says, push: { platforms: [wns], to: x, with: { a: b }, priority: high, collapse: c, hub: app } }
    """
    compiled, problems = load(text, tmp_path)
    assert problems == []
    inherits, says = (intent.notification for intent in compiled.route(event(), now=NOW).intents)
    assert (inherits.audience, inherits.hub, inherits.priority) == (EVERYONE, "apple-only", Priority.NORMAL)
    assert (inherits.collapse_key, says.collapse_key) == ("e-1", "c")
    assert (says.hub, says.priority, says.expires_at) == ("app", Priority.HIGH, inherits.expires_at)


PUSH = "push: { to: x, with: { a: b } }"


@pytest.mark.parametrize(
    "rule, problem",
    [
        (f"{{ {PUSH} }}", "rules[0]: name is missing"),
        (
            f"{{ name: a b, {PUSH} }}",
            "rules[0].name: a name is letters, digits and _ . : / - up to 120, without spaces",
        ),
        ("{ name: '', stop: true }", "rules[0].name: a name is letters, digits and _ . : / - up to 120"),
        ("{ name: r, push: { to: '', with: { a: b } } }", "rules[0].push.to: the tag expression is empty"),
        ("{ name: r, push: { to: ' ', with: { a: b } } }", "rules[0].push.to: the tag expression is empty"),
        ("{ name: r, source: [], stop: true }", "rules[0].source: is empty (leave the key out for all of them)"),
        (
            "{ name: r, push: { to: x, with: { a: b }, platforms: [] } }",
            "rules[0].push.platforms: is empty (leave the key out for all of them)",
        ),
        ("{ name: r, push: { to: x, native: {} } }", "rules[0].push: there is nothing to say"),
        ("{ name: r, push: { to: x, with: { a: b }, ttl: 0s } }", "push.ttl: is over before anything is sent"),
        ("{ name: r, push: { to: Everyone, with: { a: b } } }", "push.to: everyone stands alone, in lower case"),
        ("{ name: r, push: { to: '!(everyone)', with: { a: b } } }", "push.to: everyone stands alone, in lower case"),
        ("{ name: r, push: { to: x, with: { order-no: b } } }", "push.with.order-no: a template names a property by"),
        ("{ name: r }", "rules[0]: this rule does nothing (give it a push, or stop: true)"),
        ("text", "rules[0]: expected keys such as name, source, match"),
        (f"{{ name: r, source: bnk, {PUSH} }}", "'bnk' is not one of: bank, hr (did you mean bank?)"),
        (f"{{ name: r, mach: {{}}, {PUSH} }}", "rules[0].mach: unknown key (did you mean match?)"),
        (f"{{ name: r, stop: 1, {PUSH} }}", "rules[0].stop: expected true or false"),
        (f"{{ name: r, inhibit: {{}}, {PUSH} }}", "rules[0].inhibit: known, but not supported by this version yet"),
        (f"{{ name: r, also: {{}}, {PUSH} }}", "rules[0].also: known, but not supported by this version yet"),
        (f"{{ name: r, remind: {{}}, {PUSH} }}", "rules[0].remind: known, but not supported by this version yet"),
        *(
            (
                f"{{ name: r, push: {{ to: x, with: {{ a: b }}, {key}: x }} }}",
                f"push.{key}: known, but not supported by",
            )
            for key in ("devices", "interruption", "tag_policy", "template")
        ),
        (f"{{ name: r, throtle: {{}}, {PUSH} }}", "rules[0].throtle: unknown key (did you mean throttle?)"),
        ("{ name: r, push: { to: x, with: { a: b }, platforms: [apple] } }", "'apple' is not one of: apns, fcm, wns"),
        (
            "{ name: r, push: { with: { a: b } } }",
            "push: to is missing (an audience has to be named, even to: everyone)",
        ),
        ("{ name: r, push: { to: x } }", "rules[0].push: there is nothing to say (give with:, content: or native:)"),
        ("{ name: r, push: { to: [x], with: { a: b } } }", "rules[0].push.to: expected a text"),
        ("{ name: r, push: { to: { usr: x }, with: { a: b } } }", "push.to.usr: unknown key (did you mean user?)"),
        (
            "{ name: r, push: { to: { user: x, installation: y }, with: { a: b } } }",
            "rules[0].push.to: expected one of user and installation",
        ),
        ("{ name: r, push: { to: { user: a b }, with: { a: b } } }", "push.to.user: an id is letters, digits and"),
        ("{ name: r, push: { to: 'a &', with: { a: b } } }", ":31: rules[0].push.to: expected && or || before '&'"),
        ("{ name: r, push: { to: x, with: { a: [1] } } }", "rules[0].push.with.a: expected a text"),
        ("{ name: r, push: { to: x, with: { a: b, A: c } } }", "push.with.A: names compare without case"),
        ("{ name: r, push: { to: x, with: { a: b }, ttl: soon } }", "rules[0].push.ttl: not a duration"),
        ("{ name: r, push: { to: x, with: { a: b }, ttl: 5s, ttl_from: tiem } }", "did you mean time?"),
        (
            "{ name: r, push: { to: x, with: { a: b }, ttl_from: time } }",
            "push.ttl_from: there is no ttl that could begin",
        ),
        ("{ name: r, push: { to: x, with: { a: b }, priority: 5 } }", "'5' is not one of: high, normal"),
        (
            "{ name: r, push: { to: x, with: { a: b }, hub: ap } }",
            "'ap' is not one of: app, apple-only (did you mean app?)",
        ),
        ("{ name: r, push: { to: x, template: t } }", "push.template: known, but not supported by this version yet"),
        (
            "{ name: r, push: { to: x, with: { a: b }, hub: apple-only, platforms: wns } }",
            "rules[0].push.platforms: the hub of this rule has no credentials for this platform",
        ),
        (
            "{ name: r, push: { to: x, native: { ios: {} } } }",
            "push.native.ios: unknown key (known: adm, apns, baidu, fcm, huawei, mpns, webpush, wns, xiaomi)",
        ),
        ("{ name: r, when: 'data.x >', push: { to: x, with: { a: b } } }", "rules[0].when: unexpected"),
    ],
)
def test_a_mistake_in_a_rule_is_one_complaint(rule: str, problem: str, tmp_path: Path) -> None:
    _, problems = load(f"rules:\n  - {rule}", tmp_path)
    assert len(problems) == 1
    assert problem in problems[0]


def test_two_rules_of_one_name_are_a_mistake_of_the_second(tmp_path: Path) -> None:
    _, problems = load(f"rules:\n  - {{ name: r, {PUSH} }}\n  - {{ name: r, {PUSH} }}", tmp_path)
    assert problems == ["rules.yaml:3:13: rules[1].name: another rule is called r (at rules.yaml:2)"]


def test_without_a_hub_nothing_can_be_pushed(tmp_path: Path) -> None:
    _, problems = load(f"rules: [ {{ name: r, {PUSH} }} ]", tmp_path, Scope(sources=frozenset(), hubs={}))
    assert problems == ["rules.yaml:1:21: rules[0].push: there is no hub to push through (add one under hubs)"]


def test_a_mistake_in_the_defaults_is_said_once(tmp_path: Path) -> None:
    text = f"defaults: {{ push: {{ ttl: soon }} }}\nrules:\n  - {{ name: r, {PUSH} }}\n  - {{ name: s, {PUSH} }}"
    assert len(load(text, tmp_path)[1]) == 1


def test_no_rules_are_no_mistake(tmp_path: Path) -> None:
    assert load("rules:", tmp_path)[1] == []
    assert load("rules: {}", tmp_path)[1] == ["rules.yaml:1:8: rules: expected a list of rules"]
