"""YAML and settings as a new user writes them: one complaint for each mistake, and the cure is in it."""

from pathlib import Path

import pytest

from bridge.config.load import check
from bridge.config.watch import fingerprint
from rules.problems import Severity
from tests.bridge.examples import complaints

SOURCES = """sources:
  hr:
    http: { path: /in/hr }
    map:
      id: "{{ data.x }}"
"""
RULES = """hubs: { app: {} }
rules:
  - name: r
"""
QUEUE = """sources:
  a: { rabbitmq: { url: 'amqp://x', queue: { name: q, create_if_missing: VALUE } }, map: { id: '{{ data }}' } }
"""
PUSH = "    push: { to: x, with: { a: b } }\n"


def rule(text: str) -> str:
    return RULES + "".join(f"    {line}\n" for line in text.split("\n"))


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (SOURCES.replace('id: "{{ data.x }}"', "id: {{ data.id }}"), "stands in quotes"),
        (SOURCES.replace('id: "{{ data.x }}"', "id: {{ data.id }}/{{ data.nr }}"), "stands in quotes"),
        (SOURCES.replace('id: "{{ data.x }}"', "{ id: {{ data.id }} }"), "stands in quotes"),
        (SOURCES.replace('id: "{{ data.x }}"', "id: nr: {{ data.id }}"), "stands in quotes"),
        (rule("push: { to: team:{{ data.x }}, with: { a: b } }"), "stands in quotes"),
        (rule("push: { to: {{ data.x }}, with: { a: b } }"), "stands in quotes"),
        (rule("push:\n  to: {{ data.x }}\n  with: { a: b }"), "stands in quotes"),
        (rule("push:\n  to: { user: {{ data.x }} }\n  with: { a: b }"), "stands in quotes"),
        (rule('match: { type: "\\d+" }\nstop: true'), "single quotes"),
        (rule("when: a && b\nstop: true"), "write and"),
        (rule("when: !data.x\nstop: true"), "not instead"),
        (rule('when: "data.a == \'x"\nstop: true'), "the ' that opens a text is never closed"),
        (rule("push: { to: x, with: { a: '{{ data.x }' } }"), "a placeholder ends with two braces"),
        (rule("push: { to: x, with: { a: '{ data.x }}' } }"), "write {{ data.x }}"),
        (rule("push: { to: x, with: { a: b } }\nsource:"), "the rule is for the events of all sources (give it one"),
        (rule("push: { to: x, with: { a: b } }\nmatch:"), "it asks for nothing"),
        (rule("push: { to: x, with: { a: b } }\nthrottle:"), "nothing is kept back"),
        (rule("push: { to: x, with: { a: b } }\nquiet_hours:"), "no phone is left in peace"),
        (rule("push: { to: x, content: hi, with: { a: b } }"), "define it: content: { hi: … }"),
        (rule("push: { to: x, with: { a: b } }\nquiet_hours: { window: night }"), "windows: { night: … }"),
        (rule("push: { to: x, with: { a: b } }\nreport_to: crm"), "nothing stands under sinks (define it"),
        (rule("push: { to: x, with: { a: b } }\nsource: hr"), "define it: sources: { hr: … }"),
        (rule("push: { to: x, with: { a: b } }\nschedule: 2026-01-01"), "expected keys such as at, only_in"),
        (rule("push: { to: x, with: { a: b } }\nschedule: { at: 2020-01-01 }"), "a field of the event names it"),
        (rule("push: { to: x, live_activity: {} }"), "update: { … } with the state"),
        (rule("push: { to: x, live_activity: { update: { a: 1 }, end: { a: 1 } } }"), "one of start, update and end"),
        (rule("cancel: { key: '{{ data.x }}' }"), "withdraws nothing: no rule has a key"),
        (RULES + "\u00a0   stop: true\n    mode: observe\n", "line 4 begins with a character that only looks like"),
        ("windows: { w: { times: ['1:00-2:00'], days: [weekend] } }", "write sat-sun"),
        ("windows: { w: { times: ['1:00-2:00'], days: [Weekdays] } }", "write mon-fri"),
        ("bridge: { name: '${env:NO_SUCH-x}' }", "as in ${env:NO_SUCH:-x}"),
        ("listeners: { hub_api: { address: '127.0.0.1:8080' } }", "listeners.admin is at that address already"),
        (rule("when: [data.a, data.b]\nstop: true"), "data.a and data.b"),
        (rule("push: { to: [a, b], with: { a: b } }"), '"a || b"'),
        (rule("push: { to: x, with: { a: b }, title: c }"), "under with: { title: … }"),
        (rule("push: { to: x, with: { a: b }, Body: c }"), "under with: { body: … }"),
        (rule("if: data.x\nstop: true"), "did you mean when?"),
        (rule("enabled: false\nstop: true"), "comment the rule out"),
        (rule("when: false\nstop: true"), "never fires (comment the rule out"),
        (rule('push: { to: x, with: { a: "{{{ data.x }}}" } }'), "two braces on each side: {{ data.x }}"),
        (rule("match: { data: { optIn: yes } }\nstop: true"), 'write true, or "yes" for the text'),
        (rule("match: { data: { optIn: [No, 1] } }\nstop: true"), 'write false, or "No" for the text'),
        (rule("push: { to: a & b, with: { a: b } }"), "write &&"),
        (rule("push: { to: a | b, with: { a: b } }"), "|| for or"),
        (rule("push: { to: [a], with: { a: b } }"), "write one expression"),
        (rule("push: { to: '{a}', with: { a: b } }"), "{{ data.a }}"),
        (rule("match: { type: *x }\nstop: true"), "begins with *"),
        (rule("match: { type: *.x }\nstop: true"), "begins with *"),
        (rule("match: { type: @x }\nstop: true"), "begins with @"),
        (rule("match: { type: %x }\nstop: true"), "begins with %"),
        (rule("\tstop: true"), "spaces, never with tabs"),
        (RULES + "\tstop: true\n", "spaces, never with tabs"),
        (rule("stop:true"), "write stop: true"),
        (rule("match: { type:x }\nstop: true"), "write type: x"),
        (rule("stop: yes"), "write true"),
        (rule('stop: "true"'), "write true, without quotes"),
        (rule("push: { to: x, with: { a: Order #12 } }"), "taken for a comment"),
        (rule("push:\n  to: x\n  with:\n    a: Order #{{ data.n }}"), "taken for a comment"),
        (rule("push:\n  to: x\n  with:\n    a: Order #12"), "taken for a comment"),
        (rule("push:\n  to: x\n  with:\n    a: Hello: you"), "stands in quotes"),
        (rule("push: { to: x, with: { a: 'it's' } }"), "needs double quotes"),
        (rule("push: { to: x, with: { a: Hi: you } }"), "needs double quotes"),
        (rule('push: { to: "x, with: { a: b } }'), "line 4 is never closed"),
        (rule("push: { to: x, with: { a: b }"), "closing }"),
        (rule("push: { to: x, with: { a: b }, ttl: 5 minutes }"), "write 5m"),
        (rule("push: { to: x, with: { a: b }, ttl: PT5M }"), "write 5m"),
        (rule("push: { to: x, with: { a: b }, ttl: 1h30 }"), "write 1h30m"),
        (rule("push: { to: x, with: { a: b }, ttl: 2 weeks }"), "write 14d"),
        (rule("push: { to: x, with: { a: '${{ data.x }}' } }"), "without the $"),
        ("hubs: { app: {} }\nrules: { r: { stop: true } }\n", "begin each rule with -"),
        ("version:1\n", "a space is missing"),
        ("- name: r\n", "rules: or sources:"),
        ("rules: []\n---\nrules: []\n", "leave out ---"),
        (b"\xff\xfer\x00u\x00", "save the file as UTF-8"),
        (b"bridge: { name: caf\xe9 }", "save the file as UTF-8"),
        ("sources: { a: { http: { path: in/x }, map: { id: '{{ data }}' } } }", "write /in/x"),
        ("sources: { a: { http: { path: /in/x/ }, map: { id: '{{ data }}' } } }", "write /in/x"),
        ("sources: { a: { http: { path: 'https://h/in/x' }, map: { id: '{{ data }}' } } }", "write /in/x"),
        (
            "sources: { a: { http: { path: /in/x }, decode: { max_body: 10 mb }, map: { id: '{{ data }}' } } }",
            "write 10MB",
        ),
        (
            "sources: { a: { http: { path: /in/x }, decode: { max_body: 5M }, map: { id: '{{ data }}' } } }",
            "write 5MB",
        ),
        ("dead_letters: { default: { store: { retention: 30 days } } }", "write 30d"),
        ("delivery: { retry: { max_age: '00:30:00' } }", "write 30m"),
        ("sources: { a: { rabbitmq: { url: 'amqp://x', queue: q }, map: { id: '{{ data }}' } } }", "write { name: … }"),
        ("sources: { a: { http: { path: /in/a, auth: s3cret }, map: { id: '{{ data }}' } } }", "write { bearer: … }"),
        ("sources: { a: { http: /in/a, map: { id: '{{ data }}' } } }", "write { path: … }"),
        ("sources: { a: { http: { path: /in/a }, decode: xml, map: { id: '{{ data }}' } } }", "write { format: … }"),
        (SOURCES + "    decode: { format: text, pattern: '(?<x>.+)' }\n", "(?P<name>…)"),
        *(
            (QUEUE.replace("VALUE", value), cure)
            for value, cure in (("true", "write {}"), ("yes", "write {}"), ("false", "leave the key out"))
        ),
        ("hubs: { app: { auth: { sas: { name: p, rights: [Send], key: k } } } }", "write a list"),
        ("sources: [ { name: hr } ]", "NAME: { … }"),
    ],
)
def test_a_slip_is_one_complaint_with_its_cure(text: str | bytes, cure: str, tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, text)
    assert cure in found


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (SOURCES.replace("sources:", "source:") + RULES + "    source: hr\n" + PUSH, ["source"]),
        (SOURCES.replace("sources:", "Sources:") + RULES + "    source: hr\n" + PUSH, ["Sources"]),
        (RULES.replace("hubs:", "hub:") + PUSH, ["hub"]),
        (RULES.replace("rules:", "rule:") + PUSH, ["rule"]),
        ("default: { push: { ttl: 1h } }\n" + RULES + PUSH, ["default"]),
        ("sources: []\n" + RULES + "    source: hr\n" + PUSH, ["sources"]),
        ("sources: text\n" + RULES + "    source: hr\n" + PUSH, ["sources"]),
        ("hubs: []\n" + RULES.partition("\n")[2] + PUSH, ["hubs"]),
        (RULES.partition("\n")[2] + PUSH + "  - name: s\n" + PUSH, ["rules[0].push"]),
        ("hubs: { a: {}, b: {} }\n" + RULES.partition("\n")[2] + PUSH + "  - name: s\n" + PUSH, ["rules[0].push"]),
        (
            SOURCES + RULES + "    source: hrr\n" + PUSH + "  - name: s\n    source: [hr, hrr]\n" + PUSH,
            ["rules[0].source"],
        ),
        (
            (RULES + PUSH + "  - name: s\n" + PUSH).replace("{ to", "{ hub: ap, to"),
            ["rules[0].push.hub"],
        ),
        ("source: { hr: { htp: {} } }", ["source", "source.hr.htp"]),
    ],
)
def test_a_mistake_is_said_once_however_much_follows_from_it(text: str, mistakes: list[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    _, problems = check(tmp_path / "c.yaml", environ={})
    assert [problem.key for problem in problems] == mistakes


TWO_KINDS = "rabbitmq: { url: 'amqp://x', queue: { name: q } }, http: { path: /in/x }"
LISTENERS = "listeners: { admin: { address: '0.0.0.0:8080', auth: { bearer: t } } }\n"


@pytest.mark.parametrize(
    ("text", "key", "mistake"),
    [
        (
            f"sources: {{ a: {{ {TWO_KINDS} }} }}",
            "sources.a",
            "rabbitmq, http, servicebus, kafka, sql and files",
        ),
        (LISTENERS + "sources: { a: { http: [ x ] } }", "sources.a.http", "expected keys such as"),
    ],
)
def test_a_warning_of_a_value_does_not_hide_its_mistake(text: str, key: str, mistake: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert settings is None
    (found,) = (problem for problem in problems if problem.severity is Severity.ERROR)
    assert (found.key, mistake in found.message) == (key, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("\n \n", "is empty"), ("# rules: []\n", "nothing but comments"), ("---\n", "nothing but")],
)
def test_a_file_that_says_nothing_is_warned_of(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    settings, (problem,) = check(tmp_path / "c.yaml", environ={})
    assert words in problem.message
    assert problem.severity is Severity.WARNING
    assert settings is not None


def test_files_of_either_ending_are_one_configuration(tmp_path: Path) -> None:
    before = fingerprint(tmp_path)
    (tmp_path / "a.yaml").write_text("\ufeffhubs: { app: {} }", encoding="utf-8")
    (tmp_path / "b.yml").write_text("rules: [ { name: r, match: { type: a }, stop: true } ]")
    (tmp_path / "c.YML").write_text("rules: [ { name: s, stop: true } ]")
    (tmp_path / "README.md").write_text("- no YAML: [")
    settings, problems = check(tmp_path, environ={})
    assert problems == []
    assert settings is not None
    assert [one.name for one in settings.rules.rules] == ["r", "s"]
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(("file", "words"), [("x.txt", "no *.yaml or *.yml file"), (".sub/x.yaml", "no *.yaml")])
def test_a_directory_without_a_configuration_is_a_complaint(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("rules: []")
    settings, (problem,) = check(tmp_path, environ={})
    assert words in str(problem)
    assert settings is None


def test_comments_and_texts_as_they_are_meant_are_clean(tmp_path: Path) -> None:
    text = (
        rule(
            "stop: true # yes, it stops\n#commented: out\npush: #all\n"
            "  to: x #1 below\n  with: { a: 'Order #12', b: on, c: no, d: 0123, e: 22:00, f: '{{ data.x }}' }"
        )
        .replace(" #1 below", " # 1 below")
        .replace("push: #all", "push: # all")
    )
    assert complaints(tmp_path, text) == []


def test_a_text_that_looks_like_a_boolean_is_one_in_quotes(tmp_path: Path) -> None:
    assert complaints(tmp_path, SOURCES + rule('match: { data: { optIn: "yes" } }\nstop: true')) == []
