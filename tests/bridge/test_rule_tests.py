"""`pushbridge test`: tests of rules in YAML, on the code that the daemon runs."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from bridge.cli.main import app
from bridge.config.load import check
from rules.document import files_of, load_document
from rules.problems import Problems
from tests.hub.platforms.keys import p256_key, pem_of

RULES = Path(__file__).parent.parent / "rules"
CONFIGURATION = """
version: 1
sources:
  bank:
    http: { path: /in/bank }
    map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }
  orders: { rabbitmq: { url: "${env:NO_SUCH_SECRET:-amqp://127.0.0.1}", queue: { name: q } } }
rules:
  - name: large
    source: bank
    match: { type: bank.debit, data: { amount: { gte: 100, lt: 1000 } } }
    when: "data.currency == 'CHF' or data.vip and not data.test | default(false)"
    push:
      to: "customer:{{ data.customer }}"
      with: { title: "Debit {{ data.amount }}", body: "of {{ data.customer }}" }
      collapse: "debit-{{ data.id }}"
  - name: quiet
    source: bank
    match: { type: [bank.test, bank.trial] }
    stop: true
  - name: audit
    source: bank
    push: { to: everyone, native: { apns: { payload: { aps: { content-available: 1 } } } }, priority: normal }
  - name: orders
    source: orders
    match: { meta: { message_id: { exists: true } } }
    push: { to: { user: "{{ data.user }}" }, with: { title: hi } }
hubs:
  acme: { default: true, PLATFORMS }
  other: {}
"""
DEBIT = "{ id: p1, kind: debit, amount: 500, currency: CHF, customer: c9 }"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(CONFIGURATION.replace(", PLATFORMS", ""))
    return tmp_path


def write_tests(directory: Path, text: str) -> None:
    (directory / "acme.test.yaml").write_text(text)


def steps(directory: Path, *lines: str, devices: str = "") -> None:
    """One test of these steps."""
    head = f"tests:\n  - name: it\n    devices: [ {devices} ]\n    steps:\n"
    write_tests(directory, head + "".join(f"      - {line}\n" for line in lines))


def run(directory: Path, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["test", str(directory), *options])
    assert result.exit_code == code, result.output
    return result


def failures(directory: Path) -> list[str]:
    """What is different of the one test that fails, without places."""
    (test,) = json.loads(run(directory, "--json", code=1).stdout)["tests"]
    return [f"{each['key']}: {each['text']}" for each in test["failed"]["differences"]]


def mistakes(directory: Path) -> list[str]:
    """What is wrong with the test file: line and column, then the complaint."""
    printed = run(directory, code=1).stderr
    return [re.sub(r"^.*?acme\.test\.yaml:", "", line) for line in printed.splitlines()]


def test_the_examples_have_tests_that_cover_every_rule_and_condition() -> None:
    run(RULES / "examples.test.yaml", "--fail-under", "100")


def test_an_event_is_expected_to_come_to_notifications_devices_and_payloads(here: Path) -> None:
    steps(
        here,
        f'{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ outcome: accepted, rules: [audit, large], pushes: ['
        ' { to: everyone, rule: audit, platform: apns, devices: [phone], priority: normal, collapse: null, ttl: null,'
        " payload: { aps: { content-available: 1 } } },"
        ' { to: "customer:c9", hub: ACME, title: Debit 500, with: { BODY: of c9 }, devices: [phone, pc],'
        ' platforms: [wns, apns], collapse: debit-p1, payload: "<text>Debit 500</text>" } ] } }',
        devices='{ id: phone, tags: ["customer:c9"] }, { id: pc, platform: wns, tags: ["customer:c9"] },'
        ' { id: no, hub: other, tags: ["customer:c9"] }, { id: not, platform: fcm }',
    )  # fmt: skip
    run(here)


def test_what_is_different_is_named_with_what_was_seen_instead(here: Path) -> None:
    steps(
        here,
        f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ rules: [large], outcome: no_match, reason: map,"
        ' suppressed: { duplicate: 1 }, dead_letter: { reason: render }, pushes: [ { to: "customer:c9", devices: [],'
        " platform: wns, ttl: 1h30m, title: Debit 501, with: { sound: x },"
        " payload: { aps: { alert: { title: Debit 50 } } } } ] } }",
        devices='{ id: phone, tags: ["customer:c9"] }',
    )
    assert failures(here) == [
        'expect.rules: expected ["large"], saw ["audit", "large"]',
        'expect.outcome: expected "no_match", saw "accepted"',
        'expect.reason: expected "map", saw ""',
        "expect.suppressed.duplicate: expected 1, saw 0",
        'expect.pushes[0].devices: expected [], saw ["phone"]',
        'expect.pushes[0].platform: expected "wns", saw "apns"',
        'expect.pushes[0].ttl: expected "1h30m", saw null',
        'expect.pushes[0].with.sound: expected "x", saw no sound, but body, title',
        'expect.pushes[0].title: expected "Debit 501", saw "Debit 500"',
        'expect.pushes[0].payload: expected {"aps": {"alert": {"title": "Debit 50"}}}, '
        'saw {"aps": {"alert": {"title": "Debit 500", "body": "of c9"}}}',
        'expect.pushes: expected no more than 1, saw one of rule audit to "everyone" with {}',
        "expect.dead_letter[0]: expected a dead letter, saw none",
    ]


def test_each_expected_notification_needs_one_of_its_own(here: Path) -> None:
    event = f"event: {{ source: bank, data: {DEBIT} }}"
    steps(here, f'{{ {event}, expect: {{ pushes: [ {{ hub: acme }}, {{ to: "customer:c9" }} ] }} }}')
    run(here)
    steps(here, f'{{ {event}, expect: {{ pushes: [ {{ to: "customer:c9" }}, {{ title: Debit 500 }} ] }} }}')
    assert failures(here)[-1].startswith("expect.pushes[1].title: ")
    steps(here, f"{{ {event}, expect: {{ pushes: [ {{ hub: acme }}, {{ hub: acme }}, {{ hub: acme }} ] }} }}")
    assert failures(here) == ["expect.pushes[2]: expected a notification, saw no more than 2"]


def test_an_event_is_remembered_from_step_to_step_until_its_window_has_passed(here: Path) -> None:
    event = f"event: {{ source: bank, data: {DEBIT} }}"
    steps(
        here,
        f"{{ {event}, repeat: 3, expect: {{ rules: [large, audit], suppressed: {{ duplicate: 2 }} }} }}",
        f"{{ {event}, advance: 23h, expect: {{ outcome: suppressed, rules: [], pushes: [] }} }}",
        f"{{ {event}, expect: {{ suppressed: {{ duplicate: 1 }} }} }}",
        '{ advance_to: "2026-01-02T12:00:01Z", expect: { pushes: [] } }',
        f"{{ {event}, expect: {{ outcome: accepted, suppressed: {{}} }} }}",
    )
    run(here)


def test_an_event_with_a_fresh_id_is_no_repetition_whatever_its_id_is_made_of(here: Path) -> None:
    steps(
        here,
        f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ outcome: accepted }} }}",
        f"{{ event: {{ source: bank, data: {DEBIT}, fresh_id: true }}, repeat: 3,"
        " expect: { suppressed: { duplicate: 0 }, pushes: [{}, {}, {}, {}, {}, {}] } }".replace("{}", "{ hub: acme }"),
    )
    run(here)


def test_a_message_without_an_id_is_taken_as_often_as_it_comes(here: Path) -> None:
    event = "event: { source: orders, data: { user: ann } META }"
    two = "pushes: [ { to: { user: ann } }, { rule: orders } ]"
    steps(
        here,
        f"{{ {event}, repeat: 2, expect: {{ {two} }} }}".replace("META", ""),
        f"{{ {event}, repeat: 2, expect: {{ suppressed: {{ duplicate: 1 }} }} }}".replace(
            "META", ", meta: { message_id: m1 }"
        ),
    )
    run(here)


def test_dead_letters_and_refusals_are_expected_by_reason_and_rule(here: Path) -> None:
    steps(
        here,
        f'{{ event: {{ source: bank, data: {DEBIT}, set: {{ data.customer: "a || b" }} }}, expect: {{ rules: [audit],'
        " outcome: accepted, dead_letter: { reason: tag_unsafe, rule: large } } }",
        "{ event: { source: bank, body: '{' }, expect: { outcome: rejected, reason: decode, dead_letter: [] } }",
        "{ event: { source: orders, body: '{' }, expect: { outcome: dead_letter, reason: decode,"
        " dead_letter: [ { reason: decode, rule: '' } ] } }",
    )
    run(here)
    steps(
        here,
        f'{{ event: {{ source: bank, data: {DEBIT}, set: {{ data.customer: "a || b" }} }},'
        " expect: { dead_letter: { reason: render } } }",
    )
    assert failures(here) == ['expect.dead_letter[0].reason: expected "render", saw "tag_unsafe"']


def test_a_body_of_json_takes_other_values_at_single_paths(here: Path) -> None:
    (here / "debit.json").write_text('{"id": 1, "kind": "debit", "amount": 199.9, "list": [{"a": 1}, {"a": 2}]}')
    configuration = (here / "acme.yaml").read_text().replace("of {{ data.customer }}", "{{ data.list }}{{ data.new }}")
    (here / "acme.yaml").write_text(configuration)
    steps(
        here,
        "{ event: { source: bank, file: debit.json, set: { data.customer: c1, data.currency: CHF,"
        " 'data.list[1].a': null, 'data.new[''a-b''].c': x } }, expect: { pushes: [ { title: Debit 199.9,"
        ' body: \'[{"a":1},{"a":null}]{"a-b":{"c":"x"}}\' }, { rule: audit } ] } }',
    )
    run(here)


def test_a_platform_without_a_credential_gets_nothing_while_the_hub_has_another(here: Path) -> None:
    key = json.dumps(pem_of(p256_key()))[1:-1]
    apns = f'platforms: {{ apns: {{ key_id: ABC123DEFG, team_id: DEF123GHIJ, topic: com.acme, key: "{key}" }} }}'
    (here / "acme.yaml").write_text(CONFIGURATION.replace("PLATFORMS", apns))
    event = f"event: {{ source: bank, data: {DEBIT} }}"
    headers = "headers: { APNS-Topic: com.acme, apns-collapse-id: debit-p1 }"
    push = f'to: "customer:c9", devices: [phone], platform: apns, {headers}'
    devices = '{ id: phone, tags: ["customer:c9"] }, { id: droid, platform: fcm, tags: ["customer:c9"] }'
    steps(here, f"{{ {event}, expect: {{ pushes: [ {{ {push} }}, {{ rule: audit }} ] }} }}", devices=devices)
    run(here)
    (here / "acme.yaml").write_text(CONFIGURATION.replace(", PLATFORMS", ""))
    assert failures(here)[-1] == (
        'expect.pushes[0].headers: expected {"APNS-Topic": "com.acme", "apns-collapse-id": "debit-p1"}, '
        "saw no request: the hub has no credential for this platform"
    )


def test_no_secret_is_needed_and_none_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBIT_URL", "not an address")
    apns = (
        'platforms: { apns: { key_id: "${env:NO_SUCH_ID}", team_id: "${env:T}", topic: a, key: "${file:/none.p8}" } }'
    )
    secret = CONFIGURATION.replace("PLATFORMS", apns).replace("NO_SUCH_SECRET:-amqp://127.0.0.1", "RABBIT_URL")
    (here / "acme.yaml").write_text(secret)
    event = f"event: {{ source: bank, data: {DEBIT} }}"
    push = "{ devices: [d], headers: { apns-topic: a, authorization: 'bearer [access token]' } }"
    step = f"{{ {event}, expect: {{ pushes: [ {push}, {{ rule: audit }} ] }} }}"
    steps(here, step, devices="{ id: d, tags: ['customer:c9'] }")
    run(here)


def test_templates_and_handles_of_a_device_are_its_own(here: Path) -> None:
    steps(
        here,
        f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ pushes: [ {{ rule: audit }}, {{ devices: [d],"
        " payload: { aps: { badge: 7, alert: Debit 500 } } } ] } }",
        devices='{ id: d, tags: ["customer:c9"], push_channel: ABCD,'
        " templates: { t: { body: { aps: { badge: 7, alert: $(title) } } } } }",
    )
    run(here)


MISTAKES = [
    ("{ expect: { pushes: [] } }", "5:9: tests[0].steps[0]: does nothing: write event, advance or advance_to"),
    (
        "{ event: { source: bank, data: {} } }",
        "5:9: tests[0].steps[0]: expect is missing: a step with an event says what is expected of it",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: {} }",
        "5:54: tests[0].steps[0].expect: says nothing: write pushes, rules, outcome or such",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { held: { quiet_hours: 1 } } }",
        "5:56: tests[0].steps[0].expect.held: known, but not supported by this version yet",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { suppressed: { throttle: 1 } } }",
        "5:70: tests[0].steps[0].expect.suppressed.throttle: known, but not supported by this version yet",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { pushes: [ { locale: de } ] } }",
        "5:68: tests[0].steps[0].expect.pushes[0].locale: known, but not supported by this version yet",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { push: [] } }",
        "5:56: tests[0].steps[0].expect.push: unknown key (did you mean pushes?)",
    ),
    (
        "{ event: { source: bnak, data: {} }, expect: { pushes: [] } }",
        "5:28: tests[0].steps[0].event.source: there is no source 'bnak' (did you mean bank?)",
    ),
    (
        "{ event: { data: {} }, expect: { pushes: [] } }",
        "5:11: tests[0].steps[0].event: source is missing (known: bank, orders)",
    ),
    (
        "{ event: { source: bank }, expect: { pushes: [] } }",
        "5:18: tests[0].steps[0].event: write one of file, data and body",
    ),
    (
        "{ event: { source: bank, file: none.json }, expect: { pushes: [] } }",
        "5:40: tests[0].steps[0].event.file: cannot be read: No such file or directory",
    ),
    (
        "{ event: { source: bank, body: <a/>, set: { data.a: 1 } }, expect: { pushes: [] } }",
        "5:51: tests[0].steps[0].event.set: set changes bodies of JSON, and this body is none",
    ),
    (
        "{ event: { source: bank, data: { a: [] }, set: { 'data.a[3]': 1 } }, expect: { pushes: [] } }",
        "5:58: tests[0].steps[0].event.set.data.a[3]: the list there has 0 elements",
    ),
    (
        "{ event: { source: bank, data: { a: 1 }, set: { data.a.b: 1, customer-id: 2 } }, expect: { pushes: [] } }",
        "5:57: tests[0].steps[0].event.set.data.a.b: there is no object to set 'b' in",
        "5:70: tests[0].steps[0].event.set.customer-id: there is no name 'customer': "
        "a path into the body begins with data. and a key",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { rules: [larg], pushes: [ { rule: no, devices: [d2] }, {} ] } }",
        "5:64: tests[0].steps[0].expect.rules[0]: there is no rule 'larg' (did you mean large?)",
        "5:89: tests[0].steps[0].expect.pushes[0].rule: there is no rule 'no' (known: audit, large, orders, quiet)",
        "5:103: tests[0].steps[0].expect.pushes[0].devices[0]: there is no device 'd2' of this test (known: d1)",
        "5:110: tests[0].steps[0].expect.pushes[1]: says nothing of the notification",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { outcome: accept, dead_letter: { reason: tag } } }",
        "5:65: tests[0].steps[0].expect.outcome: expected 'accepted', 'no_match', 'suppressed', 'dead_letter' or "
        "'rejected' (did you mean accepted?)",
        "5:96: tests[0].steps[0].expect.dead_letter.reason: expected 'decode', 'schema', 'map', 'no_match', "
        "'tag_unsafe', 'render', 'hub_reject', 'expired', 'service_full', 'lock_lost', 'too_large' or 'crash'",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { pushes: [ { to: 'a &&' } ] } }",
        "5:73: tests[0].steps[0].expect.pushes[0].to: column 5: expected a tag, found the end",
    ),
    ("{ advance: soon }", "5:20: tests[0].steps[0].advance: not a duration; write seconds as a number, or text such as "
     "500ms, 30s, 10m, 1h30m, 7d"),
    (
        '{ advance_to: "2025-12-31T00:00:00Z" }',
        "5:24: tests[0].steps[0].advance_to: time does not go back: it is 2026-01-01T12:00:00Z by then",
    ),
    ("{ advance_to: tomorrow }", "5:23: tests[0].steps[0].advance_to: not an RFC 3339 time, such as 2024-01-15T10:11:12Z"),
    ("{ advance: 1m, repeat: 2 }", "5:9: tests[0].steps[0]: repeat is for an event"),
    ("{ advance: true }", "5:20: tests[0].steps[0].advance: expected a time such as 30s"),
]  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0])
def test_a_mistake_in_a_step_is_named_at_its_place_with_what_was_likely_meant(
    here: Path, case: tuple[str, ...]
) -> None:
    steps(here, case[0], devices="{ id: d1 }")
    assert mistakes(here) == list(case[1:])


@pytest.mark.parametrize(
    "device, complaint",
    [
        ("{ id: a, platform: apn }", "3:35: tests[0].devices[0].platform: expected 'apns', 'fcm' or 'wns' "
         "(did you mean apns?)"),
        ("{ id: a }, { id: a }", "3:33: tests[0].devices[1].id: another device has this id"),
        ("{ id: a, hub: acem }", "3:30: tests[0].devices[0].hub: there is no hub 'acem' (did you mean acme?)"),
        ("{ id: a, tags: ['x y'] }", "3:31: tests[0].devices[0].tags: not allowed: 'x y'"),
        ("{ id: a, push_channel: xyz }", "3:39: tests[0].devices[0].push_channel: an APNs device token is an "
         "even number of hex digits"),
        ("{ id: a, templates: { t: { body: '{' } } }", "3:36: tests[0].devices[0].templates: templates.t: "
         "body: it is no JSON"),
        ("{ id: a, locale: de }", "3:25: tests[0].devices[0].locale: known, but not supported by this version yet"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_device_is_named_at_its_place(here: Path, device: str, complaint: str) -> None:
    steps(here, "{ advance: 1m }", devices=device)
    named = mistakes(here)
    assert len(set(named)) == 1
    assert named[0].startswith(complaint)


def test_mistakes_of_a_file_as_a_whole_are_named(here: Path) -> None:
    write_tests(here, "tests: []")
    assert mistakes(here) == ["1:8: tests: is empty"]
    write_tests(here, "config: none.yaml\ntests: [ { name: a, steps: [ { advance: 1s } ] } ]")
    assert mistakes(here) == ["1:9: config: there is no such file or directory"]
    write_tests(here, "test: []")
    assert "1:1: test: unknown key (did you mean tests?)" in mistakes(here)
    write_tests(here, "tests: [ { name: a, steps: [ { advance: 1s } ] }, { name: a, steps: [ { advance: 1s } ] } ]")
    assert mistakes(here) == [f"1:59: tests[1].name: another test has this name (at {here}/acme.test.yaml:1)"]
    write_tests(here, "tests: [ {")
    assert mistakes(here)[0].startswith("2:1: not YAML")
    (here / "acme.test.yaml").unlink()
    assert "no *.test.yaml or *.test.yml file" in run(here, code=2).stderr


def test_mistakes_of_the_configuration_are_named_once(here: Path) -> None:
    steps(here, "{ advance: 1m }")
    (here / "b.test.yml").write_text((here / "acme.test.yaml").read_text())
    (here / "acme.yaml").write_text(CONFIGURATION.replace(", PLATFORMS", "").replace("push:", "psuh:", 1))
    printed = run(here, code=1).stderr
    assert printed.count("psuh: unknown key") == 1
    (here / "acme.yaml").write_text(
        "hubs: { a: { auth: { sas: [ { name: a, rights: [Send], key: '${env:NONE_X}' } ] } } }"
    )
    run(here)


def test_tests_stand_beside_the_rules_and_are_no_part_of_the_configuration(here: Path) -> None:
    (here / "more" / ".git").mkdir(parents=True)
    (here / "more" / ".git" / "x.test.yaml").write_text("no test")
    steps(here, "{ advance: 1m }")
    (here / "more" / "a.TEST.yml").write_text("config: [ .. ]\ntests: [ { name: a, steps: [ { advance: 1m } ] } ]")
    assert files_of(here) == [here / "acme.yaml"]
    assert check(here)[0] is not None
    assert len(json.loads(run(here, "--json").stdout)["tests"]) == 2
    (here / "more" / "a.TEST.yml").write_text("tests: [ { name: a, steps: [ { advance: 1m } ] } ]")
    assert "no *.yaml or *.yml file in this directory" in run(here / "more", code=1).stderr
    run(here / "more", "--config", str(here / "acme.yaml"))


def test_what_no_test_has_tried_is_named_with_its_place(here: Path) -> None:
    steps(
        here,
        f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ outcome: accepted }} }}",
        f"{{ event: {{ source: bank, data: {DEBIT}, set: {{ data.currency: EUR, data.vip: true, data.id: p2 }} }},"
        " expect: { outcome: accepted } }",
        "{ event: { source: bank, data: { id: 3, kind: trial } }, expect: { rules: [quiet] } }",
    )
    coverage = json.loads(run(here, "--json").stdout)["coverage"]
    gaps = [(each["rule"], each["condition"], each["missing"]) for each in coverage["missing"]]
    assert gaps == [
        ("large", '"bank.debit"', "never false"),
        ("large", "gte: 100", "never false"),
        ("large", "lt: 1000", "never false"),
        ("large", "data.vip", "never false"),
        ("large", "not data.test | default(false)", "never false"),
        ("orders", "", "never fired"),
        ("orders", "exists: true", "never tried"),
    ]
    assert coverage["missing"][1]["place"].endswith("acme.yaml:11:55: rules[0].match.data.amount.gte")
    assert coverage["missing"][3]["place"].endswith("acme.yaml:12:38: rules[0].when")
    assert (coverage["rules"], coverage["outcomes"]) == ({"fired": 3, "of": 4}, {"seen": 9, "of": 16})
    assert coverage["percent"] == 60.0
    run(here, "--fail-under", "60")
    assert "coverage 60 % is under 61 %" in run(here, "--fail-under", "61", code=1).stderr


def test_a_repeated_event_covers_nothing_and_one_that_is_not_reached_neither(here: Path) -> None:
    steps(here, "{ event: { source: bank, data: { id: 3, kind: trial } }, expect: { rules: [quiet] } }")
    coverage = json.loads(run(here, "--json").stdout)["coverage"]
    assert ("audit", "never fired") in [(each["rule"], each["missing"]) for each in coverage["missing"]]


FAILING = """tests:
  - name: passes
    steps: [ { advance: 1m } ]
  - name: fails
    steps:
      - event: { source: bank, data: { id: p1, kind: test } }
        expect: { rules: [] }
"""
GOLDEN = """ok   HERE/acme.test.yaml: passes
FAIL HERE/acme.test.yaml: fails
     step 1
     HERE/acme.test.yaml:7:26: expect.rules: expected [], saw ["quiet"]

from          bank
outcome       accepted
event id      p1
event source  /bank
event type    bank.test
event time    2026-01-01T12:00:00+00:00
event meta    {"message_id": "test-1", "headers": {}}

data
{
  "id": "p1",
  "kind": "test"
}

RULE   RESULT       WANTED                            SEEN                     PLACE
large  not matched  "bank.debit"                      type = "bank.test"       HERE/acme.yaml:11:20: rules[0].match.type
quiet  stopped                                                                 HERE/acme.yaml:17:5: rules[1]
audit  not reached  quiet has ended the evaluation                             HERE/acme.yaml:21:5: rules[2]
orders not reached quiet has ended the evaluation HERE/acme.yaml:24:5: rules[3]

RULE    NOT COVERED  CONDITION                      PLACE
"""


def test_a_failing_test_prints_what_explain_prints(here: Path) -> None:
    write_tests(here, FAILING)
    printed = run(here, code=1).stdout.replace(str(here), "HERE")
    squeezed = [" ".join(line.split()) for line in printed.splitlines()]
    golden = [" ".join(line.split()) for line in GOLDEN.splitlines()]
    assert squeezed[: len(golden)] == golden
    assert squeezed[-1] == "1 passed, 1 failed"
    arguments = ["explain", str(here / "acme.yaml"), "-", "--source", "bank"]
    explained = CliRunner().invoke(app, arguments, input='{"id": "p1", "kind": "test"}').stdout
    lines = {line.rstrip() for line in explained.splitlines() if not line.startswith(("event time", "event meta"))}
    assert lines <= {line.rstrip() for line in run(here, code=1).stdout.splitlines()}


def test_results_as_junit_are_what_ci_systems_read(here: Path) -> None:
    write_tests(here, FAILING)
    (suite,) = root = ElementTree.fromstring(run(here, "--output", "junit", code=1).stdout_bytes)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    assert suite.get("name") == f"{here}/acme.test.yaml"
    passed, failed = suite
    assert (passed.get("name"), len(passed), passed.get("line")) == ("passes", 0, "2")
    (failure,) = failed
    assert failure.get("message") == 'expect.rules: expected [], saw ["quiet"]'
    assert "quiet has ended the evaluation" in (failure.text or "")


def test_hostile_values_break_no_xml_and_command_no_terminal(here: Path) -> None:
    hostile = '"\\x1b[31m\\x00]]><b>&\\x9b\\ufffe"'
    write_tests(
        here,
        f"tests:\n  - name: {hostile}\n    steps:\n"
        '      - event: { source: bank, body: \'{"id": "\\u001b]]>&\\ufffe", "kind": "debit", "\\u009b": "\\ud800"}\' }\n'
        f"        expect: {{ pushes: [ {{ title: {hostile} }} ] }}\n",
    )
    for output in ("junit", "text", "json"):
        printed = run(here, "--output", output, code=1).stdout
        assert not {"\x1b", "\x00", "\x9b", "\ufffe"} & set(printed)
    ElementTree.fromstring(run(here, "--output", "junit", code=1).stdout_bytes)


def test_the_schema_for_editors_takes_the_tests_of_the_examples_and_no_unknown_key() -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema", "--tests"]).stdout)
    Draft202012Validator.check_schema(schema)
    root = load_document(RULES / "examples.test.yaml", Problems())
    assert root is not None
    tests = root.plain()
    validator = Draft202012Validator(schema)
    assert not [error.message for error in validator.iter_errors(tests)]
    tests["tests"][0]["steps"][0]["expect"]["push"] = []
    assert [list(error.path)[-1] for error in validator.iter_errors(tests)] == ["expect"]


def test_no_test_opens_a_connection(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    steps(here, f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ outcome: accepted }} }}", devices="{ id: a }")
    run(here)
