"""A configuration as it was understood: with all defaults, in one file, without its secrets, and with the place of what is
written."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from bridge.config.in_clear import SHOWN
from bridge.config.keys import KeyOfModel, keys_of, spelled_default
from bridge.config.models.document import Sections, Settings
from bridge.config.origins import with_origins
from bridge.config.spellings import in_present_spelling
from rules.document import Paths, load_document
from rules.engine import Rule
from rules.models import Push
from rules.models import Rule as RuleKeys
from rules.node import Node, RuleNodes
from rules.problems import Problems
from rules.push import PushPlan
from rules.render import Text
from rules.scope import PLATFORMS
from rules.units import spelled


def as_understood(settings: Settings, paths: Paths) -> str:
    """YAML of all settings; a text of a rule is shown as it is written, before `${…}` was filled in.

    A comment gives file and line of each key that is written: the others have their defaults.
    """
    sections = {key.name: _value(getattr(settings, key.attribute), key) for key in keys_of(Sections)}
    written = load_document(paths, Problems(), {}, no_secrets=True)
    root = None if written is None else in_present_spelling(written, Problems())
    entries = root.value if root is not None and isinstance(root.value, dict) else {}
    defaults = _entries(entries.get("defaults"))
    if defaults:
        sections["defaults"] = {name: as_written(node) for name, node in defaults.items()}
    if windows := _entries(entries.get("windows")):
        sections["windows"] = {name: as_written(node) for name, node in windows.items()}
    if (rules := entries.get("rules")) is not None and isinstance(rules.value, list | RuleNodes):
        pairs = zip(settings.rules.rules, rules.value, strict=True)
        sections["rules"] = [_rule(rule, node, defaults) for rule, node in pairs]
    text: str = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=120)
    return text if root is None else with_origins(text, replace(root, value=_with_defaults(entries, defaults)))


def _with_defaults(entries: Mapping[str, Node], defaults: Mapping[str, Node]) -> dict[str, Node]:
    """What a document says, each rule with what `defaults` say of it."""
    rules = entries.get("rules")
    if rules is None or not isinstance(rules.value, list | RuleNodes):
        return dict(entries)

    def filled(rule: Node) -> Node:
        own = _entries(rule)
        push = own.get("push")
        if push is None:
            return rule
        return replace(
            rule, value={**own, "push": replace(push, value={**_entries(defaults.get("push")), **_entries(push)})}
        )

    return {**entries, "rules": replace(rules, value=[filled(rule) for rule in rules.value])}


def _value(value: Any, key: KeyOfModel) -> Any:
    match value:
        case SecretStr():
            return SHOWN
        case BaseModel():
            shown = {below.name: _value(getattr(value, below.attribute), below) for below in keys_of(type(value))}
            return {name: entry for name, entry in shown.items() if entry is not None}
        case Text():
            return str(value)
        case Path():
            return str(value)
        case Mapping():
            return {name: _value(entry, key) for name, entry in value.items()}
        case (SecretStr(),):
            return SHOWN
        case tuple() if any(isinstance(item, BaseModel | SecretStr | Text) for item in value):
            return [_value(item, key) for item in value]
    return spelled_default(replace(key, default=value))


def _rule(rule: Rule, node: Node, defaults: Mapping[str, Node]) -> dict[str, Any]:
    """A rule with what `defaults` and the language give it, in the order of the language's keys."""
    entries = _entries(node)
    shown = {name: as_written(entry) for name, entry in entries.items()}
    if rule.push is not None:
        shown["push"] = _push(rule.push, {**_entries(defaults.get("push")), **_entries(entries["push"])})
    shown["stop"] = rule.stop
    if rule.owner:
        shown.setdefault("owner", rule.owner)
    return {key.name: shown[key.name] for key in keys_of(RuleKeys) if key.name in shown}


def _push(push: PushPlan, entries: Mapping[str, Node]) -> dict[str, Any]:
    shown = {name: as_written(entry) for name, entry in entries.items()}
    shown |= {"priority": push.priority.value, "hub": push.hub}
    if push.platforms is not None:
        shown["platforms"] = sorted(name for name, each in PLATFORMS.items() if each in push.platforms)
    if push.ttl is not None:
        shown["ttl"] = spelled(push.ttl)
    return {key.name: shown[key.name] for key in keys_of(Push) if key.name in shown}


def _entries(node: Node | None) -> Mapping[str, Node]:
    """What an object says; a key left empty is as if not written."""
    entries = node.value if node is not None and isinstance(node.value, dict) else {}
    return {name: entry for name, entry in entries.items() if entry.value is not None}


def as_written(node: Node) -> Any:
    """A value as YAML has it, before `${…}` was filled in."""
    match node.value:
        case dict() as entries:
            return {name: as_written(entry) for name, entry in entries.items()}
        case (list() | RuleNodes()) as items:
            return [as_written(item) for item in items]
    return node.value if node.text == node.written else node.written
