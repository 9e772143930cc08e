"""Configurations that are made to hurt whoever reads them: each is refused with its place, soon, and in little memory."""

import json
import re
import resource
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.config.load import check
from rules.problems import Severity

BASE = "sources: { s: { http: { path: /in/s } } }\nhubs: { main: {} }\n"
LONG = 100_000
_SECONDS = 1.0
_MEGABYTES = 150


def _rule(**keys: object) -> str:
    push = {"to": "everyone", "with": {"text": keys.pop("text", "a")}} | dict(keys.pop("push", {}))  # type: ignore[call-overload]
    return BASE + "rules: " + json.dumps([{"name": "r", "push": push, **keys}])


def _doubled(opened: str, alias: str, closed: str) -> str:
    """Aliases of aliases, ten times each, ten deep."""
    names = [f"a{number}" for number in range(10)]
    lines = [f"a: &a0 {opened}x{closed}"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} {opened}{', '.join(alias.format(n=n, to=before) for n in range(10))}{closed}")
    return "\n".join(lines)


REFUSED: Mapping[str, str] = {
    "a bomb of lists": _doubled("[", "*{to}", "]"),
    "a bomb of objects": _doubled("{k: ", "k{n}: *{to}", "}").replace("{k: x}", "{k: x}").replace("{k: k0", "{k0"),
    "aliases without end": "a: &a [1]\nrules: [" + ", ".join(["*a"] * 200_000) + "]",
    "an alias inside of itself": "rules: &a [*a]",
    "an object inside of itself": "rules: &a { a: *a }",
    "anchors without end": "".join(f"a{number}: &x{number} 1\n" for number in range(20_000)),
    "an alias of nothing": "rules: *nothing",
    "duplicate keys": "rules: []\n" * 20_000,
    "a tab": "rules:\n\t- name: a",
    "deep lists": "rules: " + "[" * LONG,
    "deep objects": "rules: " + "{a: " * LONG,
    "deep lists in block style": "- " * LONG + "a",
    "a tag of Python": "rules: !!python/object/apply:os.system ['true']",
    "a control character": "rules: []\nbridge: { name: \x07 }",
    "a null character": 'rules: "a\0b"',
    "several documents": "rules: []\n---\nrules: []",
    "sections of the wrong kind": "sources: []\nhubs: 3\nrules: x\ndefaults: [1]\nsinks: 1\njournal: 1\nbridge: [1]",
    "an integer of a million digits": "version: " + "9" * 1_000_000,
    "an exponent without end": "version: 1e" + "9" * LONG,
    "a long line": "rules: " + "x" * 5_000_000,
    "unknown keys": "".join(f"k{number}: 1\n" for number in range(20_000)),
    "rules of unknown keys": BASE + "rules:\n" + "  - { nme: r, pusch: {}, matc: {} }\n" * 1000,
    "an audience of parentheses": _rule(push={"to": "(" * LONG}),
    "an audience of negations": _rule(push={"to": "!" * LONG + "a"}),
    "an audience of tags": _rule(push={"to": "a && " * 20_000 + "a"}),
    "an integer in a payload that JSON does not hold": _rule(
        push={"native": {"apns": {"payload": {"aps": {"alert": "x", "badge": 2**64}}}}}
    ),
    "a part of a time zone's name": BASE + "rules: []\nbridge: { timezone: America }",
    "a long name of a time zone": BASE + "rules: []\nbridge: { timezone: " + "x" * LONG + " }",
    "a long network": _rule(match={"data": {"a": {"cidr": "1" * LONG}}}),
    **{
        f"{name} in {place}": _rule(**{place: f"{opened}{text}{closed}"})
        for name, text in {
            "negations": "not " * (LONG // 4) + "data.a",
            "signs": "-" * LONG + "1",
            "parentheses": "(" * LONG,
            "lists": "[" * LONG,
            "a path": "data" + ".a" * (LONG // 2),
            "a sum": "1" + "+1" * (LONG // 2),
            "powers": "9**9**9",
            "powers without end": "1" + "**1" * (LONG // 3),
            "filters": "data.a" + "|upper" * (LONG // 6),
            "unknown filters": "data.a" + "|x" * (LONG // 2),
            "digits": "9" * LONG,
            "an exponent": "1e" + "9" * LONG,
            "a range": "range(10**9)",
            "a text multiplied": "'a' * 10**9",
            "a text of a width": "data.a | center(10**9)",
            "a loop": "{% for a in data %}{% endfor %}",
            "a call": "data.items()",
            "a format": "'{0.__class__.__mro__}'.format(data)",
            "a format of percents": "'%s' | format(data)",
            "an attribute by filter": "data | attr('__class__')",
            "a regular expression": "data.a | regex_replace('(a+)+$', '')",
            "a namespace": "namespace(a=1)",
            "an object of Jinja": "cycler.__init__.__globals__",
            "an indentation": "data.a | indent(10**9)",
            "a replacement": "data.a | replace('a', 'b' * 10**9)",
            "a batch": "data.a | batch(10**9)",
        }.items()
        for place, opened, closed in (("when", "", ""), ("text", "{{ ", " }}"))
    },
    "statements": _rule(text="{% for a in range(10**9) %}a{% endfor %}"),
    "placeholders that are not closed": _rule(text="{{" * (LONG // 2)),
    "quotes in placeholders": _rule(text="{{ '" * (LONG // 4)),
}

TAKEN: Mapping[str, str] = {
    "values of the environment that are not closed": "${" * (LONG // 2),
    "defaults that are not closed": "${env:A:-" * (LONG // 9),
    "values of the environment within each other": "${env:A:-" * (LONG // 10) + "}" * (LONG // 10),
    "what stands for a dollar": "$${" * (LONG // 3),
    "braces": "}" * LONG,
    "spaces": "{{ data.a" + " " * LONG + "}}",
    "placeholders": "{{ data.a }}" * (LONG // 12),
}
"""Texts of a push that are taken, as long as they are."""


def _checked(text: str, directory: Path) -> tuple[bool, list[str], float, float]:
    """Whether there are settings, the mistakes, the seconds of CPU, and the MB that were needed on top."""
    file = directory / "evil.yaml"
    file.write_text(text)
    memory, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    settings, problems = check(file)
    seconds = time.process_time() - seconds
    if seconds > _SECONDS:  # of a busy machine
        again = time.process_time()
        settings, problems = check(file)
        seconds = time.process_time() - again
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    mistakes = [str(problem) for problem in problems if problem.severity is Severity.ERROR]
    return settings is not None, mistakes, seconds, memory / 1024


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_its_place_soon_and_in_little_memory(kind: str, tmp_path: Path) -> None:
    is_taken, mistakes, seconds, megabytes = _checked(REFUSED[kind], tmp_path)
    assert not is_taken
    assert mistakes
    assert all(re.match(r".*evil\.yaml:\d+:\d+: ", mistake) for mistake in mistakes), mistakes[0][:300]
    assert max(map(len, mistakes)) < 2_000, "what is shown of a value is short"
    assert seconds < _SECONDS
    assert megabytes < _MEGABYTES


@pytest.mark.slow
@pytest.mark.parametrize("kind", TAKEN)
def test_it_is_taken_soon(kind: str, tmp_path: Path) -> None:
    is_taken, mistakes, seconds, megabytes = _checked(_rule(text=TAKEN[kind]), tmp_path)
    assert is_taken, mistakes[0][:300]
    assert seconds < _SECONDS
    assert megabytes < _MEGABYTES


def test_places_are_those_of_what_is_too_much(tmp_path: Path) -> None:
    texts = {
        "evil.yaml:2:14: not YAML: a character that YAML does not allow (U+0007)": "a: 1\nb: [c, d, 'ee\x07']",
        "evil.yaml:1:102: nested too deep": "[" * 200,
        "evil.yaml:6:": _doubled("[", "*{to}", "]"),
    }
    for place, text in texts.items():
        _, mistakes, _, _ = _checked(text, tmp_path)
        assert place in mistakes[0]
