"""A configuration as it was understood: with all defaults, in one file, and without its secrets."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from bridge.config.keys import KeyOfModel, keys_of, spelled_default
from bridge.config.models import Sections, Settings
from bridge.config.spellings import in_present_spelling
from rules.document import Paths, load_document
from rules.node import Node, RuleNodes
from rules.problems import Problems
from rules.render import Text

_SECRET = "(secret)"  # noqa: S105 - what stands for one


def as_understood(settings: Settings, paths: Paths) -> str:
    """YAML of all settings; `defaults` and `rules` are shown as the files at `paths` have them, before substitution."""
    sections = {key.name: _value(getattr(settings, key.name), key) for key in keys_of(Sections)}
    written = load_document(paths, Problems(), {}, no_secrets=True)
    root = None if written is None else in_present_spelling(written, Problems())
    for name in ("defaults", "rules"):
        if root is not None and isinstance(root.value, dict) and name in root.value:
            sections[name] = _written(root.value[name])
    text: str = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120)
    return text


def _value(value: Any, key: KeyOfModel) -> Any:
    match value:
        case SecretStr():
            return _SECRET
        case BaseModel():
            shown = {below.name: _value(getattr(value, below.name), below) for below in keys_of(type(value))}
            return {name: entry for name, entry in shown.items() if entry is not None}
        case Text(pieces=pieces):
            return "".join(piece if isinstance(piece, str) else f"{{{{ {piece.text} }}}}" for piece in pieces)
        case Path():
            return str(value)
        case Mapping():
            return {name: _value(entry, key) for name, entry in value.items()}
        case (SecretStr(),):
            return _SECRET
        case tuple() if any(isinstance(item, BaseModel | SecretStr) for item in value):
            return [_value(item, key) for item in value]
    return spelled_default(replace(key, default=value))


def _written(node: Node) -> Any:
    match node.value:
        case dict() as entries:
            return {name: _written(entry) for name, entry in entries.items()}
        case (list() | RuleNodes()) as items:
            return [_written(item) for item in items]
    return node.value if node.text == node.written else node.written
