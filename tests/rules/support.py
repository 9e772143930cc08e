"""What the tests of rules share: an event in a line, rules from YAML, problems as text."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

from connectors.duration import seconds_in
from hub.notification import Platform
from rules.document import load_document
from rules.engine import RuleSet
from rules.event import Event
from rules.explain import NOWHERE
from rules.loader import load_rules
from rules.node import Node
from rules.problems import Problems
from rules.scope import HubScope, Scope

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SCOPE = Scope(
    sources=frozenset({"bank", "hr"}),
    hubs={
        "app": HubScope(platforms=frozenset(Platform.declared())),
        "apple-only": HubScope(platforms=frozenset({Platform.APNS})),
    },
    default_hub="app",
)


def event(data: Any = None, **attributes: Any) -> Event:
    """An event of the source bank."""
    defaults: dict[str, Any] = {"id": "e-1", "origin": "bank", "source": "/bank", "type": "debit", "time": NOW}
    return Event(**{**defaults, **attributes}, data={} if data is None else data)


def document(text: str, directory: Path, environ: Mapping[str, str] | None = None) -> tuple[Node, list[str]]:
    """The root of a YAML text, and the problems found, without the directory in them."""
    problems = Problems()
    file = directory / "rules.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    root = load_document(file, problems, environ or {})
    found = shown(problems, directory)
    assert root is not None, found
    return root, found


def load(text: str, directory: Path, scope: Scope = SCOPE) -> tuple[RuleSet, list[str]]:
    """The rules of a YAML text, and the problems found."""
    problems = Problems()
    file = directory / "rules.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    root = load_document(file, problems, {})
    assert root is not None
    assert isinstance(root.value, dict)
    rules = load_rules(root.value.get("rules"), root.value.get("defaults"), scope, problems, seconds_in=seconds_in)
    return rules, shown(problems, directory)


def node(value: Any) -> Node:
    """Data as it stands in a document."""
    match value:
        case dict():
            value = {key: node(entry) for key, entry in value.items()}
        case list():
            value = [node(item) for item in value]
    text = "" if isinstance(value, dict | list) else json.dumps(value)
    return Node(key="", mark=NOWHERE, key_mark=NOWHERE, value=value, text=text)


def shown(problems: Problems, directory: Path) -> list[str]:
    """Problems as `check` prints them."""
    return [str(problem).replace(f"{directory}/", "") for problem in problems.sorted()]
