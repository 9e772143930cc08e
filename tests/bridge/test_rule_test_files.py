"""Files of tests of rules: every mistake is named at its place, whatever stands in them."""

import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.models.document import Settings
from bridge.trial.suite.load import load_tests
from rules.document import load_document
from rules.problems import Problems
from tests.bridge.examples import read
from tests.bridge.rule_tests import CONFIGURATION, run, steps, write_tests

RULES = Path(__file__).parent.parent / "rules"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(CONFIGURATION.replace(", PLATFORMS", ""))
    return tmp_path


def mistakes(directory: Path) -> list[str]:
    """What is wrong with the test file: line and column, then the complaint."""
    printed = run(directory, code=1).stderr
    return [re.sub(r"^.*?acme\.test\.yaml:", "", line) for line in printed.splitlines()]


MISTAKES = [
    ("{ expect: { pushes: [] } }", "5:9: tests[0].steps[0]: does nothing: write event, advance, advance_to or opened"),
    (
        "{ event: { source: bank, data: {} } }",
        "5:9: tests[0].steps[0]: expect is missing: a step with an event says what is expected of it",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: {} }",
        "5:54: tests[0].steps[0].expect: says nothing: write pushes, rules, outcome or such",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { held: { quite_hours: 1 } } }",
        "5:64: tests[0].steps[0].expect.held.quite_hours: unknown key (did you mean quiet_hours?)",
    ),
    (
        "{ event: { source: bank, data: {} }, expect: { suppressed: { inhibit: 1 } } }",
        "5:70: tests[0].steps[0].expect.suppressed.inhibit: known, but not supported by this version yet",
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
        "{ event: { source: bank, data: {}, meta: { messageid: 1 } }, expect: { pushes: [] } }",
        "5:52: tests[0].steps[0].event.meta.messageid: a message of HTTP has no such property (did you mean message_id?)",
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
        "5:65: tests[0].steps[0].expect.outcome: expected 'accepted', 'no_match', 'suppressed', 'duplicate', 'dead_letter'"
        " or 'rejected' (did you mean accepted?)",
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
    ('{ advance_to: "9999-12-31T00:00:00Z" }', "5:24: tests[0].steps[0].advance_to: expected a time in the years 1970 "
     "to 8999"),
    ("{ advance: 999999999d }", "5:20: tests[0].steps[0].advance: longer than a hundred years"),
    ('{ advance_to: "8999-12-31T00:00:00Z" }\n      - { advance: 2d }', "6:20: tests[0].steps[1].advance: time passes "
     "the year 8999"),
    ("{ advance: 1m, repeat: 2 }", "5:9: tests[0].steps[0]: repeat is for an event"),
    (
        "{ opened: d2, expect: { unopened: [ { rule: larg, report_to: crm } ] } }",
        "5:19: tests[0].steps[0].opened: there is no device 'd2' of this test (known: d1)",
        "5:53: tests[0].steps[0].expect.unopened[0].rule: there is no rule 'larg' (did you mean large?)",
        "5:70: tests[0].steps[0].expect.unopened[0].report_to: there is no sink 'crm'",
    ),
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
        ("{ id: a, platform: apn }", "3:35: tests[0].devices[0].platform: expected 'apns', 'fcm', 'wns', 'webpush', "
         "'adm', 'xiaomi', 'huawei', 'baidu' or 'mpns' "
         "(did you mean apns?)"),
        ("{ id: a }, { id: a }", "3:33: tests[0].devices[1].id: another device has this id"),
        ("{ id: a, push_channel: abcd }, { id: b, push_channel: ABCD }", "3:70: tests[0].devices[1].push_channel: "
         "the device 'a' has this push channel"),
        ("{ id: a, hub: acem }", "3:30: tests[0].devices[0].hub: there is no hub 'acem' (did you mean acme?)"),
        ("{ id: a, tags: ['x y'] }", "3:31: tests[0].devices[0].tags: not allowed: 'x y'"),
        ("{ id: a, push_channel: xyz }", "3:39: tests[0].devices[0].push_channel: an APNs device token is an "
         "even number of hex digits"),
        ("{ id: a, templates: { t: { body: '{' } } }", "3:36: tests[0].devices[0].templates: templates.t: "
         "body: it is no JSON"),
        ("{ id: a, tz: Mars }", "3:29: tests[0].devices[0].tz: not a time zone; write a name such as Europe/Zurich or UTC"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_device_is_named_at_its_place(here: Path, device: str, complaint: str) -> None:
    steps(here, "{ advance: 1m }", devices=device)
    named = mistakes(here)
    assert len(set(named)) == 1
    assert named[0].startswith(complaint)


@pytest.mark.slow
def test_mistakes_of_a_file_as_a_whole_are_named(here: Path) -> None:
    write_tests(here, "tests: []")
    assert mistakes(here) == ["1:8: tests: is empty"]
    write_tests(here, "config: none.yaml\ntests: [ { name: a, steps: [ { advance: 1s } ] } ]")
    assert mistakes(here) == ["1:9: config: there is no such file or directory"]
    write_tests(here, "test: []")
    assert "1:1: test: unknown key (did you mean tests?)" in mistakes(here)
    write_tests(here, "tests: [ { name: a, steps: [ { advance: 1s } ] }, { name: a, steps: [ { advance: 1s } ] } ]")
    assert mistakes(here) == [f"1:59: tests[1].name: another test has this name (at {here}/acme.test.yaml:1)"]
    write_tests(here, "- name: a")
    assert mistakes(here) == ["1:1: expected keys such as tests (begin with tests:)"]
    write_tests(here, "tests: [ {")
    assert mistakes(here)[0].startswith("2:1: not YAML")
    (here / "acme.test.yaml").unlink()
    assert "no *.test.yaml or *.test.yml file" in run(here, code=2).stderr


@pytest.mark.slow
def test_the_schema_for_editors_takes_the_tests_of_the_examples_and_no_unknown_key() -> None:
    schema = json.loads(CliRunner().invoke(app, ["schema", "--tests"]).stdout)
    Draft202012Validator.check_schema(schema)
    root = load_document(RULES / "examples.test.yaml", Problems())
    assert root is not None
    tests = root.plain()
    validator = Draft202012Validator(schema)
    described = [schema, *(each for each in schema["$defs"].values() if "properties" in each)]
    assert all(key["description"] for each in described for key in each["properties"].values())
    assert not [error.message for error in validator.iter_errors(tests)]
    tests["tests"][0]["steps"][0]["expect"]["push"] = []
    assert [list(error.path)[-1] for error in validator.iter_errors(tests)] == ["expect"]


KEYS = [
    "config",
    "tests",
    "name",
    "clock",
    "devices",
    "steps",
    "id",
    "platform",
    "tags",
    "user",
    "templates",
    "body",
    "event",
    "source",
    "file",
    "data",
    "set",
    "headers",
    "meta",
    "fresh_id",
    "repeat",
    "advance",
    "advance_to",
    "expect",
    "rules",
    "pushes",
    "to",
    "with",
    "payload",
    "collapse",
    "ttl",
    "dead_letter",
    "reason",
    "suppressed",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "bank", "1h", "a && b", "everyone"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
STEP = st.fixed_dictionaries({}, optional={"event": VALUES, "expect": VALUES, "advance": VALUES, "repeat": VALUES})


@cache
def _settings() -> Settings:
    with tempfile.TemporaryDirectory() as directory:
        return read(Path(directory), CONFIGURATION.replace(", PLATFORMS", ""))


@pytest.mark.slow
@given(
    steps=st.lists(STEP, max_size=2), devices=VALUES, event=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)
)
def test_any_file_is_read_or_its_mistakes_are_named(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], devices: Any, event: dict[str, Any]
) -> None:
    directory = tmp_path_factory.mktemp("any")
    file = directory / "any.test.yaml"
    known = {"event": {"source": "bank", **event}, "expect": {"pushes": [event]}}
    content = {"tests": [{"name": "a", "devices": devices, "steps": [*steps, known]}]}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    problems = Problems()
    loaded = load_tests(file, [], lambda _: _settings(), problems)
    assert loaded is not None or problems.has_errors
    assert all(problem.mark.line >= 1 for problem in problems.sorted())
