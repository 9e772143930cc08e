"""YAML into nodes that know their place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.document import load_document
from rules.problems import Problems
from tests.rules.support import document, shown


def value_of(text: str, directory: Path, environ: Mapping[str, str] | None = None) -> Any:
    root, problems = document(f"key: {text}", directory, environ)
    assert problems == []
    return root.find(("key",)).value


@pytest.mark.parametrize(
    "text, value",
    [
        ("12", 12),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("no", "no"),
        ("on", "on"),
        ("22:00", "22:00"),
        ("2026-08-01", "2026-08-01"),
        ("1_000", "1_000"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("${env:PORT}", 8080),
        ('"${env:PORT}"', "8080"),
        ("${env:PIN}", "0123"),
        ("${env:UNSET:-fallback}", "fallback"),
        ("${env:EMPTY:-fallback}", "fallback"),
        ("${env:UNSET:-}", ""),
        ("a ${env:PORT} b", "a 8080 b"),
        ("$${env:PORT}", "${env:PORT}"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: Any, tmp_path: Path) -> None:
    found = value_of(text, tmp_path, {"PORT": "8080", "PIN": "0123", "EMPTY": ""})
    assert (found, type(found)) == (value, type(value))


def test_a_file_is_read_beside_the_configuration_and_loses_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("first\nsecond\n")
    assert value_of('"${file:key.pem}"', tmp_path) == "first\nsecond"


@pytest.mark.parametrize(
    "text, problem",
    [
        ("a: ${env:NOPE}", "rules.yaml:1:4: a: the environment variable NOPE is not set"),
        ('a: "x${file:nope}"', "rules.yaml:1:6: a: nope cannot be read: No such file or directory"),
        (
            "a: ${evn:X}",
            "rules.yaml:1:4: a: write ${env:NAME}, ${env:NAME:-default} or ${file:/path}, and $${ for ${",
        ),
        ("a: 1\nb: 2\na: 3", "rules.yaml:3:1: a: duplicate key (first at rules.yaml:1)"),
        ("a: { x: 1, x: 2 }", "rules.yaml:1:12: a.x: duplicate key (first at rules.yaml:1)"),
        ("a: &loop [ *loop ]", "rules.yaml:1:4: a[0]: an alias may not stand inside of what it stands for"),
        ("a: !secret b", "rules.yaml:1:4: a: YAML tags such as !secret have no meaning here"),
        ("? [a]\n: b", "rules.yaml:1:3: a key has to be text"),
        ("a: 1e400", "rules.yaml:1:4: a: a number out of range"),
        ('a: "${file:x\\0y}"', "rules.yaml:1:4: a: not the name of a file"),
        ('"a\\nb\\e": { x: 1, x: 2 }', "rules.yaml:1:19: a\\nb\\x1b.x: duplicate key (first at rules.yaml:1)"),
    ],
)
def test_a_mistake_is_reported_at_its_place(text: str, problem: str, tmp_path: Path) -> None:
    _, problems = document(text, tmp_path)
    assert problems == [problem]


LAUGHTER = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: b: c", "- 1", "\tx: 1", "a: 1\n---\nb: 2", "a: \x01", "a: " + "[" * 5000 + "]" * 5000, LAUGHTER],
)
def test_what_is_no_configuration_is_one_problem(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    problems = Problems()
    assert load_document(tmp_path / "x.yaml", problems) is None
    assert len(problems.sorted()) == 1


def test_a_missing_file_is_a_problem_and_not_an_exception(tmp_path: Path) -> None:
    problems = Problems()
    assert load_document(tmp_path / "x.yaml", problems) is None
    assert shown(problems, tmp_path) == ["x.yaml:1:1: cannot be read: No such file or directory"]


def test_a_directory_is_merged_by_key_and_its_rules_follow_one_another(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\nsources: { a: 1 }\nrules: [one]\nhubs:\n")
    (tmp_path / "b.yaml").write_text("version: 1\nsources: { b: 2 }\nrules: [two]\nhubs: { h: 3 }\n")
    (tmp_path / "not.txt").write_text("x: 1")
    problems = Problems()
    root = load_document(tmp_path, problems)
    assert root is not None
    assert problems.sorted() == []
    assert root.plain() == {"version": 1, "sources": {"a": 1, "b": 2}, "rules": ["one", "two"], "hubs": {"h": 3}}


def test_what_two_files_say_is_a_problem_in_the_second(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("sources: { a: 1 }\nbridge: { name: x }\nversion: 1")
    (tmp_path / "b.yaml").write_text("sources: { a: 2 }\nbridge: { name: y }\nversion: 2")
    problems = Problems()
    load_document(tmp_path, problems)
    assert shown(problems, tmp_path) == [
        "b.yaml:1:12: sources.a: duplicate key (first at a.yaml:1)",
        "b.yaml:2:11: bridge.name: duplicate key (first at a.yaml:2)",
        "b.yaml:3:1: version: duplicate key (first at a.yaml:3)",
    ]


def test_a_directory_without_files_is_a_problem(tmp_path: Path) -> None:
    problems = Problems()
    assert load_document(tmp_path, problems) is None
    assert len(problems.sorted()) == 1


def test_what_a_file_held_is_shown_by_no_node(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    root, _ = document('a: { b: "${file:secret}" }', tmp_path)
    assert "canary" not in repr(root)
    assert "canary" not in repr(root.find(("a", "b")))


@settings(deadline=None)  # a busy machine is no failure
@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    problems = Problems()
    root = load_document(file, problems, {})
    assert root is not None or problems.sorted()
    assert all(problem.mark.line >= 1 and problem.mark.column >= 1 for problem in problems.sorted())
