"""Old spellings of keys: accepted until version 1.0, and named once each."""

from collections.abc import Mapping
from dataclasses import replace

from connectors.table import CONNECTORS
from rules.node import Node
from rules.problems import Problems

Path = tuple[str, ...]

_CONNECTOR_KEYS: Mapping[str, str] = {old: key for key, connector in CONNECTORS.items() for old in connector.old_keys}

OLD_KEYS: Mapping[Path, Mapping[str, str]] = {
    ("sources", "*"): _CONNECTOR_KEYS,
    ("dead_letter", "sources", "*"): _CONNECTOR_KEYS,
}
"""The present spelling by the old one, for the keys of what stands at a path; `*` is any name."""


def in_present_spelling(root: Node, problems: Problems) -> Node:
    """The document with each old key under its present name; complaints go on naming the key as it is written.

    The first use of each old spelling is a warning; an old spelling beside the present one is a mistake.
    """
    named: set[str] = set()
    for path, keys in OLD_KEYS.items():
        root = _renamed(root, path, keys, named, problems)
    return root


def _renamed(node: Node, path: Path, keys: Mapping[str, str], named: set[str], problems: Problems) -> Node:
    if not isinstance(node.value, dict):
        return node
    entries = node.value
    if path:
        below = {
            name: _renamed(entry, path[1:], keys, named, problems) if path[0] in (name, "*") else entry
            for name, entry in entries.items()
        }
        return replace(node, value=below)
    if not entries.keys() & keys.keys():
        return node
    renamed: dict[str, Node] = {}
    for name, entry in entries.items():
        key = keys.get(name, name)
        if key != name and key in entries:
            problems.add(entry, f"is an old spelling of {key}, which stands beside it", mark=entry.key_mark)
            continue
        if key != name and name not in named:
            named.add(name)
            problems.warn(entry, "is an old spelling", f"write {key}", mark=entry.key_mark)
        renamed[key] = entry
    return replace(node, value=renamed)
