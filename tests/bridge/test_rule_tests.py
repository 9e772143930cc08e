"""`pushbridge test`: tests of rules in YAML, on the code that the daemon runs."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.load import check
from rules.document import files_of
from tests.bridge.rule_tests import CONFIGURATION, DEBIT, run, steps, write_tests
from tests.hub.platforms.keys import p256_key, pem_of

RULES = Path(__file__).parent.parent / "rules"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(CONFIGURATION.replace(", PLATFORMS", ""))
    return tmp_path


def failures(directory: Path) -> list[str]:
    """What is different of the one test that fails, without places."""
    (test,) = json.loads(run(directory, "--json", code=1).stdout)["tests"]
    return [f"{each['key']}: {each['text']}" for each in test["failed"]["differences"]]


@pytest.mark.slow
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


@pytest.mark.slow
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
        f"{{ {event}, advance: 23h, expect: {{ outcome: duplicate, rules: [], pushes: [] }} }}",
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


FOLLOWED = """
sources: { shop: { http: { path: /in/shop }, map: { id: "{{ data.id }}" } } }
sinks: { crm: { http: { url: "https://crm.example/hook", secret: 0123456789abcdef } } }
rules:
  - name: paid
    push: { to: "customer:{{ data.customer }}", with: { title: Paid } }
    schedule: { at: "{{ data.at | default(time) }}" }
    report_to: crm
    unless_opened: { after: 2h, report_to: crm }
hubs: { app: { reports: { payload_key: pushId }, platforms: { PLATFORMS } } }
"""


def test_phones_that_have_not_opened_a_notification_in_time_are_expected(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(FOLLOWED.replace("PLATFORMS", ""))
    event = "event: { data: { id: p1, customer: c9 } }"
    push = "{ report_to: crm, unless_opened: { after: 2h, report_to: [crm] } }"
    later = 'event: { data: { id: p2, customer: c9, at: "2026-01-01T18:00:00Z" } }'
    steps(
        tmp_path,
        f"{{ {event}, repeat: 2, expect: {{ pushes: [ {push} ], unopened: [] }} }}",  # one for both
        "{ advance: 1h, opened: [a, b], expect: { unopened: [] } }",
        "{ advance: 59m, expect: { unopened: [] } }",
        "{ advance: 1m, expect: { unopened: [ { device: c, outcome: not_opened, rule: paid, report_to: crm } ] } }",
        "{ advance: 7d, expect: { unopened: [] } }",
        "{ event: { data: { id: p3, customer: nobody } }, expect: { unopened: [ { device: null, outcome: no_phone } ] } }",
        devices=", ".join(f'{{ id: {name}, tags: ["customer:c9"] }}' for name in "abc"),
    )
    run(tmp_path)
    steps(
        tmp_path,
        f"{{ {later}, expect: {{ unopened: [] }} }}",
        '{ advance_to: "2026-01-01T19:59:59Z", expect: { unopened: [] } }',
        '{ advance_to: "2026-01-01T20:00:00Z", expect: { unopened: [ { device: a } ] } }',  # from when it is sent
        devices='{ id: a, tags: ["customer:c9"] }',
    )
    run(tmp_path)


def test_a_phone_without_a_push_service_is_told_of_at_once_and_what_differs_is_named(tmp_path: Path) -> None:
    key = json.dumps(pem_of(p256_key()))[1:-1]
    apns = f'apns: {{ key_id: ABC123DEFG, team_id: DEF123GHIJ, topic: com.acme, key: "{key}" }}'
    (tmp_path / "acme.yaml").write_text(FOLLOWED.replace("PLATFORMS", apns))
    event = "event: { data: { id: p1, customer: c9 } }"
    devices = '{ id: a, tags: ["customer:c9"] }, { id: droid, platform: fcm, tags: ["customer:c9"] }'
    told = "unopened: [ { device: droid, outcome: failed } ]"
    steps(
        tmp_path,
        f"{{ {event}, expect: {{ {told} }} }}",
        "{ advance: 2h, expect: { unopened: [ { device: a, outcome: not_opened } ] } }",
        devices=devices,
    )
    run(tmp_path)
    push = "{ report_to: [], unless_opened: { after: 1h, report_to: [] } }"
    steps(tmp_path, f"{{ {event}, expect: {{ pushes: [ {push} ], unopened: [ {{ device: a }} ] }} }}", devices=devices)
    assert failures(tmp_path) == [
        'expect.pushes[0].report_to: expected [], saw ["crm"]',
        'expect.pushes[0].unless_opened.after: expected "1h", saw "2h"',
        'expect.pushes[0].unless_opened.report_to: expected [], saw ["crm"]',
        'expect.unopened[0].device: expected "a", saw "droid"',
    ]
    steps(
        tmp_path, f"{{ {event}, expect: {{ pushes: [ {{ unless_opened: null }} ], unopened: [] }} }}", devices=devices
    )
    assert failures(tmp_path) == [
        "expect.pushes[0].unless_opened: expected none, saw that phones are looked at",
        "expect.unopened: expected no phone, saw one of rule paid told to crm: droid: failed",
    ]


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


def test_an_event_in_an_envelope_takes_attributes_too(here: Path) -> None:
    (here / "acme.yaml").write_text(
        CONFIGURATION.replace(", PLATFORMS", "").replace(
            'map: { id: "{{ data.id }}", type: "bank.{{ data.kind }}" }', "decode: { format: cloudevents }"
        )
    )
    (here / "event.json").write_text(
        '{"specversion": "1.0", "id": "1", "source": "/x", "type": "x", "data": {"customer": "c9", "currency": "CHF"}}'
    )
    event = "source: bank, file: event.json, content_type: application/cloudevents+json"
    sets = "set: { type: bank.debit, data.amount: 200, data.id: 7 }"
    steps(
        here,
        f"{{ event: {{ {event}, {sets} }}, expect: {{ rules: [large, audit], pushes: [ {{ rule: audit }},"
        " { title: Debit 200, collapse: debit-7 } ] } }",
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


def test_a_rule_that_observes_is_expected_as_such_and_pushes_nothing(here: Path) -> None:
    config = here / "acme.yaml"
    config.write_text(config.read_text().replace("  - name: large\n", "  - name: large\n    mode: observe\n"))
    steps(here, f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ rules: [audit], observed: [large] }} }}")
    run(here)
    steps(here, f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ observed: [], rules: [audit, large] }} }}")
    assert failures(here) == [
        'expect.rules: expected ["audit", "large"], saw ["audit"]',
        'expect.observed: expected [], saw ["large"]',
    ]


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
event time    2026-01-01T12:00:00Z
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_no_test_opens_a_connection(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    steps(here, f"{{ event: {{ source: bank, data: {DEBIT} }}, expect: {{ outcome: accepted }} }}", devices="{ id: a }")
    run(here)


WORDED = """
version: 1
sources: { bank: { http: { path: /in/bank }, map: { id: "{{ data.id }}" } } }
content:
  debit:
    locales:
      en: { title: "Debit {{ amount | money('CHF') }}", body: paid }
      de: { title: "Belastung {{ amount | money('CHF') }}", body: bezahlt }
    fallback: en
rules: [ { name: debit, push: { to: everyone, content: debit, with: { amount: "{{ data.amount }}" } } } ]
hubs: { acme: { default: true } }
"""
IN_TWO_LANGUAGES = "{ id: zurich, locale: de-CH }, { id: paris, templates: {} }"


@pytest.mark.parametrize(
    ("push", "complaint"),
    [
        ('{ content: debit, locale: de, title: "Belastung CHF 1\'250.00", body: bezahlt }', ""),
        ("{ locale: en, title: 'Debit CHF 1,250.00', devices: [paris, zurich] }", ""),
        ("{ title: 'Debit CHF 1,250.00' }", ""),
        ("{ locale: fr }", "expect.pushes[0].locale: expected fr, saw none, but de, en"),
        ("{ locale: de, body: paid }", "expect.pushes[0].body: expected paid, saw bezahlt"),
        ("{ content: credit }", "expect.pushes[0].content: expected credit, saw debit"),
    ],
)
def test_a_push_is_compared_by_what_phones_of_a_language_read(push: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(WORDED)
    steps(
        tmp_path,
        f"{{ event: {{ data: {{ id: 1, amount: 1250 }} }}, expect: {{ pushes: [ {push} ] }} }}",
        devices=IN_TWO_LANGUAGES,
    )
    result = run(tmp_path, code=1 if complaint else 0)
    assert complaint in result.output.replace('"', "")


SPIKE = """
bridge: { timezone: Europe/Zurich }
windows: { night: { times: "22:00-07:00", tz: device } }
sources:
  fraud: { http: { path: /in/fraud }, map: { id: "{{ data.id }}", type: "fraud.{{ data.level }}" } }
rules:
  - name: spike
    source: fraud
    match: { type: [fraud.high, fraud.medium] }
    throttle: { key: "{{ data.customer }}", max: 1, per: 10m, on_excess: digest }
    quiet_hours: { window: night, on_quiet: hold, expire: 12h }
    push: { to: "customer:{{ data.customer }}", with: { title: "{{ digest.count }} payments" } }
hubs: { acme: { default: true } }
"""


@pytest.mark.parametrize(
    ("suppressed", "held", "title", "complaint"),
    [
        (4, 1, "4 payments", ""),
        (3, 1, "4 payments", "expect.suppressed.throttle: expected 3, saw 4"),
        (4, 2, "4 payments", "expect.held.quiet_hours: expected 2, saw 1"),
        (4, 1, "5 payments", "expect.pushes[0].title: expected 5 payments, saw 4 payments"),
    ],
)
def test_a_spike_is_throttled_gathered_and_held_at_night_by_the_clock_of_the_test(
    suppressed: int, held: int, title: str, complaint: str, tmp_path: Path
) -> None:
    """Five events at ten to ten in the evening: one is shown, four wait as a digest, whose window ends in the night."""
    (tmp_path / "acme.yaml").write_text(SPIKE)
    event = "event: { data: { id: 1, level: high, customer: c9 }, fresh_id: true }"
    shown = "{ rule: spike, devices: [d1], title: '1 payments' }"
    write_tests(
        tmp_path,
        f"""
tests:
  - name: spike
    clock: 2026-03-02T21:50:00+01:00
    devices: [ {{ id: d1, tags: ["customer:c9"], tz: Europe/Zurich }} ]
    steps:
      - {{ {event}, expect: {{ rules: [spike], pushes: [ {shown} ] }} }}
      - {{ repeat: 4, {event}, expect: {{ pushes: [], suppressed: {{ throttle: {suppressed} }} }} }}
      - {{ advance: 15m, expect: {{ pushes: [], held: {{ quiet_hours: {held} }} }} }}
      - {{ advance_to: "2026-03-03T07:00:00+01:00", expect: {{ pushes: [ {{ devices: [d1], title: {title} }} ] }} }}
""",
    )
    result = run(tmp_path, code=1 if complaint else 0)
    assert complaint in " ".join(result.output.split()).replace('"', "")
