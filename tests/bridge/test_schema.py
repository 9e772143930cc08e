"""The schema and the reference: they say what `check` takes, and every key is described."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.keys import all_keys, keys_of
from bridge.config.load import check
from bridge.config.reference import reference
from bridge.config.schema import json_schema
from rules.document import load_document
from rules.models import OPERATORS, FoldedOperators, Operators
from rules.problems import Problems

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.yaml"))
SCHEMA = json_schema()


PATTERNS: tuple[dict[str, Any], ...] = (
    {"type": ["order", {"prefix": "order."}], "subject": {"exists": False}, "time": {"gte": "2026-03-02"}},
    {"data": {"a": None, "b": [1, "x", True, {"not": None}], "c": {}, "d": {"cidr": ["10.0.0.0/8"]}}},
    {"data": {"a": {"gt": 1, "lte": 9}, "b": {"between": [1, 2]}, "c": {"exists": True}, "d": {"e": {"all": 1}}}},
    {"data": {"a": {"ignore_case": ["x", {"glob": "*"}]}, "b": {"ignore_case": {"prefix": ["x", "y"]}}}},
    {"data": {"prefixes": 1, "global": 2, "note": 3, "call": 4}, "meta": {"headers": {"content-type": "text/plain"}}},
    {"data": {"any": {"name": "x"}}},
)


MISTAKEN_PATTERNS: tuple[dict[str, Any], ...] = (
    {"tpye": "order"},
    {"type": 5},
    {"type": {"prefx": "order."}},
    {"data": {"total": {"gte": "1", "ltee": 5}}},
    {"data": {"total": {"gte": None}}},
    {"data": {"total": {"between": [1]}}},
    {"data": {"total": {"between": [1, 2, 3]}}},
    {"data": {"state": {"prefix": 5}}},
    {"data": {"state": {"exists": "yes"}}},
    {"data": {"state": {"betwen": [1, 2]}}},
    {"data": {"state": {"ignore_case": {"cidr": "10.0.0.0/8"}}}},
    {"data": {"lines": {"all": {"price": {"suffixx": "a"}}}}},
    {"data": {"state": []}},
)


def mistakes(document: Any) -> list[str]:
    """Where the schema finds a document wrong."""
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def plain(file: Path) -> Any:
    root = load_document(file, Problems(), {})
    assert root is not None
    return root.plain()


@pytest.mark.slow
def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", [ROOT / "examples.yaml", ROOT / "bridge" / "demo" / "demo.yaml"], ids=lambda f: f.name)
def test_what_works_is_taken_by_the_schema(file: Path, tmp_path: Path) -> None:
    assert mistakes(plain(file)) == []
    switched_on = tmp_path / file.name
    switched_on.write_text(file.read_text().replace("\n#>", "\n"))
    assert mistakes(plain(switched_on)) == []


@pytest.mark.parametrize("file", CONFIGS, ids=lambda f: f.stem)
def test_an_unknown_key_that_check_names_is_marked_in_an_editor_too(file: Path) -> None:
    found = Path(file.with_suffix(".problems")).read_text()
    unknown = re.findall(r":\d+: ([^ :]+): (?:unknown key|known, but not supported)", found)
    marked = {error.message for error in _all_errors(plain(file))}
    for key in unknown:
        name = key.rpartition(".")[2]
        assert any(repr(name) in message for message in marked), (key, marked)


def _all_errors(document: Any) -> list[Any]:
    errors = list(Draft202012Validator(SCHEMA).iter_errors(document))
    for error in errors:
        errors += error.context or ()
    return errors


@pytest.mark.parametrize(
    "document",
    [
        {"sources": {"a": {"http": {"pth": "/in/a"}}}},
        {"bridge": {"store": {"max_pending": 0}}},
        {"bridge": {"shutdown": {"drain": "20 seconds"}}},
        {"delivery": {"max_in_flight": "many"}},
        {"hubs": {"a": {"default": "yes"}}},
        {"rules": [{"name": "r", "push": {"to": "x", "with": {"a": "b"}, "priority": "urgent"}}]},
        {"rules": [{"name": "r", "push": {"with": {"a": "b"}}}]},
        {"rules": [{"push": {"to": "x"}}]},
        {"rules": {"name": "r"}},
        {"defaults": {"push": {"ttl": "6 hours"}}},
        {"rules": [{"name": "r", "stop": True, "source": []}]},
        {"rules": [{"name": "r", "push": {"to": "x", "with": {"first name": "b"}}}]},
        *({"rules": [{"name": "r", "stop": True, "match": match}]} for match in MISTAKEN_PATTERNS),
    ],
)
def test_a_mistake_of_form_is_marked(document: Any) -> None:
    assert mistakes(document) != []


@pytest.mark.parametrize(
    "document",
    [
        {"hubs": {"a": None}, "rules": None},
        {"bridge": {"store": {"max_pending": "${env:MAX:-7}"}, "shutdown": {"drain": 5}}},
        {"sources": {"a": {"http": {"path": "/in/a"}, "decode": {"max_body": "64KiB"}}}},
        *({"rules": [{"name": "r", "stop": True, "match": match}]} for match in PATTERNS),
        {
            "rules": [
                {
                    "name": "r",
                    "stop": "${env:STOP:-true}",
                    "source": ["a", "b"],
                    "push": {"to": "x", "platforms": "apns"},
                }
            ]
        },
        {"sources": {"a": {"http": {"path": "/in/a", "auth": {"bearer": ["old", "new"]}}}}},
    ],
)
def test_what_check_takes_is_not_marked(document: Any) -> None:
    assert mistakes(document) == []


def test_an_editor_completes_operators_with_what_each_does() -> None:
    (operators,) = (
        option["$ref"].rpartition("/")[2]
        for option in SCHEMA["$defs"]["pattern"]["anyOf"]
        if "operators" in option.get("$ref", "")
    )
    completed = SCHEMA["$defs"][operators]["properties"]
    assert set(completed) == OPERATORS
    assert all(operator["description"].endswith(".") for operator in completed.values())


def test_what_holds_patterns_is_read_by_check_as_the_schema_says(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"rules": [{"name": f"r{n}", "stop": True, "match": m} for n, m in enumerate(PATTERNS)]})
    )
    settings, problems = check(tmp_path / "c.yaml", {})
    assert [str(problem) for problem in problems] == []
    assert settings is not None


def test_old_spellings_are_marked_as_deprecated_and_not_as_mistakes() -> None:
    assert mistakes(plain(CONFIGS[0].with_name("old-spellings.yaml"))) == []
    assert mistakes({"bridge": {"http": {"liste": "127.0.0.1:80"}}}) != []


def test_every_key_is_described_in_a_sentence_of_more_than_its_own_words() -> None:
    described = {key.path: key.says for key in all_keys()}
    described |= {f"match.{key.name}": key.says for model in (Operators, FoldedOperators) for key in keys_of(model)}
    small = {"a", "an", "the", "of", "is", "it", "its", "for", "to", "in", "or", "and", "as", "by", "with"}
    for path, says in described.items():
        own = set(re.split(r"[._\[\]]+", path.lower()))
        words = {word.rstrip("s") for word in re.findall(r"[a-z]+", says.lower())} - small
        assert len(words - {word.rstrip("s") for word in own}) >= 2, (path, says)
        assert says.endswith("."), (path, says)


def test_the_reference_in_docs_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == reference(), "run: make reference"


def test_the_command_prints_both() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["schema"]).output.startswith('{\n  "$schema": "https://json-schema.org/draft/2020-12/')
    assert runner.invoke(app, ["schema", "--reference"]).output == reference()


@pytest.mark.parametrize(
    "push, is_valid",
    [
        ({"to": "everyone"}, True),
        ({"live_activity": {"channel": "match", "update": {"score": "1"}}}, True),
        ({"live_activity": {"update": {"score": "1"}}}, False),
        ({"with": {"title": "t"}}, False),
    ],
)
def test_a_push_names_its_audience_or_a_broadcast_channel(push: dict[str, Any], is_valid: bool) -> None:
    assert Draft202012Validator(SCHEMA).is_valid({"rules": [{"name": "r", "push": push}]}) is is_valid
