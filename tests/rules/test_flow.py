"""Flow control of rules: what is read of a configuration, and what an event makes of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.acceptance import Reason
from hub.flow import Digest, shared_key
from hub.notification import TemplateContent
from rules.decision import Decision
from rules.event import Event
from tests.bridge.examples import complaints, read

AROUND = """
sources: { bank: { rabbitmq: { url: "amqp://u:p@broker/", queue: { name: q } }, map: { id: "{{ data.id }}" } } }
hubs: { app: {} }
"""
PUSH = "push: { to: 'a:{{ data.who }}', with: { body: '{{ digest.count }} of {{ data.n }}' } }"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def said(directory: Path, rule: str) -> list[str]:
    found = complaints(directory, f"{AROUND}\nrules:\n  - {{ name: r, {rule} }}\n")
    return [each.partition("rules[0]")[2] for each in found if "rules[0]" in each]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (f"dedupe: {{ key: '{{{{ id }}}}' }}, {PUSH}", ".dedupe: for is missing (write for: 1h)"),
        (f"dedupe: {{ for: 1h }}, {PUSH}", '.dedupe: key is missing (write key: "{{ … }}")'),
        (f"dedupe: {{ key: '{{{{ id }}}}', for: 0s }}, {PUSH}", ".dedupe.for: is not from 1s to 366d"),
        (f"dedupe: {{ key: '{{{{ id }}}}', for: 400d }}, {PUSH}", ".dedupe.for: is not from 1s to 366d"),
        (f"dedupe: once, {PUSH}", ".dedupe: expected keys such as key, for"),
        (
            f"throttle: {{ key: '{{{{ id }}}}', max: 0, per: 1m }}, {PUSH}",
            ".throttle.max: expected a whole number from",
        ),
        (f"throttle: {{ key: '{{{{ id }}}}', max: yes, per: 1m }}, {PUSH}", ".throttle.max: expected a whole number"),
        (f"throttle: {{ key: '{{{{ id }}}}', max: 1.5, per: 1m }}, {PUSH}", ".throttle.max: expected a whole number"),
        (
            f"throttle: {{ key: '{{{{ id }}}}', max: 1, per: 1m, on_excess: latest }}, {PUSH}",
            ".throttle.on_excess: 'latest' is not one of: drop, digest",
        ),
        (f"throttle: {{ key: '{{{{ x.y }}}}', max: 1, per: 1m }}, {PUSH}", ".throttle.key: "),
        (f"order: key, {PUSH}", '.order: there is no key by which to order (give the rule key: "{{ subject }}")'),
        (f"order: partition, key: '{{{{ id }}}}', {PUSH}", ".order: 'partition' is not one of: none, key"),
        (f"key: '', {PUSH}", ".key: a key is not empty"),
        (f"key: all, {PUSH}", ".key: warning: this key is the same for all events"),
        ("cancel: {}", '.cancel: key is missing (write key: "{{ … }}")'),
        ("dedupe: { key: '{{ id }}', for: 1h }, stop: true", ".dedupe: this rule pushes nothing (give it a push)"),
        (
            f"schedule: {{ at: '{{{{ data.at }}}}' }}, throttle: {{ key: '{{{{ id }}}}', max: 1, per: 1m,"
            f" on_excess: digest }}, {PUSH}",
            ".throttle: a digest is sent at the end of its window, and schedule.at names another time",
        ),
    ],
)
def test_a_mistake_in_flow_control_is_named_at_its_place(tmp_path: Path, rule: str, complaint: str) -> None:
    (found,) = said(tmp_path, rule)
    assert found.startswith(complaint)


def decide(directory: Path, rule: str, **data: Any) -> Decision:
    settings = read(directory, AROUND, f"rules:\n  - {{ name: r, {rule} }}\n")
    event = Event(id="e", origin="bank", source="/bank", type="t", subject="s", time=NOW, data={"who": "b", **data})
    return settings.rules.route(event, now=NOW)


@pytest.mark.parametrize(
    ("rule", "data"),
    [
        ("dedupe: { key: '{{ data.k }}', for: 1h }", {}),
        ("dedupe: { key: '{{ data.k }}', for: 1h }", {"k": None}),
        ("dedupe: { key: '{{ data.k }}', for: 1h }", {"k": ""}),
        ("dedupe: { key: '{{ data.k }}', for: 1h }", {"k": "ä" * 513}),
        ("throttle: { key: '{{ data.k }}', max: 1, per: 1m }", {}),
        ("key: '{{ data.k }}'", {}),
        ("cancel: { key: '{{ data.k }}' }", {}),
    ],
)
def test_a_key_that_cannot_be_filled_costs_its_rule(tmp_path: Path, rule: str, data: dict[str, Any]) -> None:
    decision = decide(tmp_path, f"{rule}, {PUSH}", n=1, **data)
    assert ([each.reason for each in decision.failures], decision.intents) == ([Reason.RENDER], ())
    assert decision.flow == ()
    assert "ä" not in decision.failures[0].detail


def test_the_longest_key_is_taken_and_lone_surrogates_are_data(tmp_path: Path) -> None:
    for key in ("ä" * 512, "\ud800", "\0"):
        (flow,) = decide(tmp_path, f"dedupe: {{ key: '{{{{ data.k }}}}', for: 1h }}, {PUSH}", n=1, k=key).flow
        assert flow.dedupe is not None
        assert len(flow.dedupe.key) == 16


def test_outside_of_a_digest_an_event_counts_as_one_and_in_one_as_many_as_there_were(tmp_path: Path) -> None:
    rule = f"throttle: {{ key: '{{{{ data.who }}}}', max: 1, per: 1m, on_excess: digest }}, {PUSH}"
    decision = decide(tmp_path, rule, n=7)
    (intent,) = decision.intents
    assert intent.notification.content == TemplateContent(properties={"body": "1 of 7"})
    throttle = decision.flow[0].throttle
    assert throttle is not None
    assert throttle.digest is not None
    (made,) = throttle.digest(Digest(id="a" * 32, count=4, first=NOW, last=NOW, at=NOW))
    assert (made.content, made.id, made.schedule_at) == (TemplateContent(properties={"body": "4 of 7"}), "a" * 32, NOW)


def test_keys_of_one_rule_are_not_those_of_another_but_those_of_cancel_are(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        AROUND,
        f"rules:\n  - {{ name: a, dedupe: {{ key: k-of-all, for: 1h }}, key: shared, {PUSH} }}\n"
        f"  - {{ name: b, dedupe: {{ key: k-of-all, for: 1h }}, {PUSH} }}\n"
        "  - { name: c, cancel: { key: shared } }\n",
    )
    event = Event(id="e", origin="bank", source="/bank", type="t", time=NOW, data={"who": "b", "n": 1})
    decision = settings.rules.route(event, now=NOW)
    a, b, c = decision.flow
    assert a.dedupe is not None
    assert b.dedupe is not None
    assert a.dedupe.key != b.dedupe.key
    assert decision.intents[0].notification.flow_key == c.cancels == shared_key("shared")
    assert decision.matched == ("a", "b", "c")


def test_without_a_store_that_lasts_check_names_what_needs_one(tmp_path: Path) -> None:
    remote = "connection_string: 'Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=S;SharedAccessKey=a2V5'"
    text = f"""
sources: {{ bank: {{ http: {{ path: /in }} , map: {{ id: "{{{{ data.id }}}}" }} }} }}
hubs: {{ app: {{ remote: {{ {remote}, hub: h, durability: remote }} }} }}
rules:
  - {{ name: r, key: "{{{{ id }}}}", dedupe: {{ key: "{{{{ id }}}}", for: 1h }}, {PUSH} }}
  - {{ name: c, cancel: {{ key: "{{{{ id }}}}" }} }}
"""
    found = [each for each in complaints(tmp_path, text) if "durability: remote" in each]
    keys = [each.split(": ")[1] for each in found]
    assert [key for key in keys if key.startswith("rules")] == ["rules[0].dedupe", "rules[0].key", "rules[1].cancel"]


OTHERS = "a digest goes to the audience of its latest event"


@pytest.mark.parametrize(
    ("key", "to", "missing"),
    [
        ("{{ data.who }}", "'a:{{ data.who }}'", None),
        ("{{ data.who }}", "everyone", None),
        ("{{ data.who.id }} {{ data.b }}", "'a:{{ data.who.id }} && b:{{ data.b }}'", None),
        ("{{ data.who }}", "'a:{{ data.who.id }}'", None),
        ("{{ data.account }}", "'a:{{ data.who }}'", "data.who"),
        ("{{ data.a }}", "'a:{{ data.a }} || b:{{ data.b }} || c:{{ data.c }}'", "data.b and data.c"),
        ("{{ data.account }}", "{ user: '{{ data.who }}' }", "data.who"),
    ],
)
def test_a_digest_whose_audience_is_not_in_its_key_is_warned_of(
    key: str, to: str, missing: str | None, tmp_path: Path
) -> None:
    push = f"push: {{ to: {to}, with: {{ body: x }} }}"
    for on_excess in ("digest", "drop"):
        throttle = f"throttle: {{ key: '{key}', max: 1, per: 1m, on_excess: {on_excess} }}"
        found = [each for each in said(tmp_path, f"{throttle}, {push}") if OTHERS in each]
        if missing is None or on_excess == "drop":
            assert found == []
        else:
            (complaint,) = found
            cure = "".join(f" {{{{ {path} }}}}" for path in missing.split(" and "))
            assert f"and {missing} is not in its key" in complaint
            assert f'key: "{key}{cure}"' in complaint
