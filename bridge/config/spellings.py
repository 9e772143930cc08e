"""Old spellings of keys: accepted until version 1.0, and named once each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from connectors.table import CONNECTORS
from rules.node import Node, RuleNodes
from rules.problems import Problems

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """What stood at `old` stands at `new`; `*` in both is the same name or item.

    With `yields`, a configuration of 0.1.0 could have both, and the present one holds; else both are a mistake.
    """

    old: Path
    new: Path
    yields: bool = False


def _renamed(old: str, new: str, *, yields: bool = False) -> Renamed:
    return Renamed(old=tuple(old.split(".")), new=tuple(new.split(".")), yields=yields)


def _of_connectors() -> Iterator[Renamed]:
    for key, connector in CONNECTORS.items():
        for old in connector.old_keys:
            yield _renamed(f"sources.*.{old}", f"sources.*.{key}")
            yield _renamed(f"dead_letters.sources.*.{old}", f"dead_letters.sources.*.{key}")
        for old, new in connector.old_paths.items():
            yield _renamed(f"sources.*.{key}.{old}", f"sources.*.{key}.{new}")


RENAMED: Sequence[Renamed] = (
    _renamed("bridge.http", "listeners.admin"),
    _renamed("hub_api", "listeners.hub_api"),
    _renamed("bridge.store.allow_memory", "bridge.store.allow_ephemeral"),
    _renamed("listeners.*.listen", "listeners.*.address"),
    _renamed("listeners.*.tls.ca", "listeners.*.tls.ca_file"),
    _renamed("listeners.admin.admin_token", "listeners.admin.auth.bearer"),
    _renamed("dead_letter", "dead_letters"),
    _renamed("hubs.*.tier", "hubs.*.limits"),
    _renamed("hubs.*.access_policies", "hubs.*.auth.sas"),
    _renamed("hubs.*.platforms.*.ca_file", "hubs.*.platforms.*.tls.ca_file"),
    _renamed("hubs.*.remote.ca_file", "hubs.*.remote.tls.ca_file"),
    *_of_connectors(),
    _renamed("sources.*.http.limits.body", "sources.*.decode.max_body", yields=True),
    _renamed("defaults.platforms", "defaults.push.platforms"),
)
"""In this order: what is below a key that moved is named by where the key has moved to."""

OLD_SECTIONS = frozenset(renamed.old[0] for renamed in RENAMED if len(renamed.old) == 1)
"""Of the top level."""

_KEY, _SECOND_KEY = "key", "secondary_key"


def in_present_spelling(root: Node, problems: Problems) -> Node:
    """The document with each old key under its present name; complaints go on naming the key as it is written.

    The first use of each old spelling is a warning; an old spelling beside the present one is a mistake.
    """
    spelling = _Spelling(problems)
    for renamed in RENAMED:
        root = spelling.move(root, renamed, root, ())
    root = _changed(root, ("sources", "*", "http"), _without_empty_limits)
    root = _changed(root, ("hubs", "*", "auth", "sas", "*"), spelling.with_one_key)
    return _changed(root, ("rules",), spelling.rules)


class _Spelling:
    """Moves nodes to where their keys stand now, and names each old spelling once."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._named: set[tuple[str, str]] = set()

    def move(self, root: Node, renamed: Renamed, node: Node, names: Path) -> Node:
        """The root, with what matches `renamed.old` below `node` moved; `names` is the path of `node`."""
        part, *more = renamed.old[len(names) :]
        if not isinstance(node.value, dict):
            return root
        if part == "*":
            for name in node.value:
                root = self.move(root, renamed, node.value[name], (*names, name))
            return root
        if part not in node.value:
            return root
        if more:
            return self.move(root, renamed, node.value[part], (*names, part))
        stars = iter(name for name, pattern in zip(names, renamed.old, strict=False) if pattern == "*")
        target = tuple(next(stars) if pattern == "*" else pattern for pattern in renamed.new)
        return self._moved(root, (*names, part), target, renamed)

    def _moved(self, root: Node, old: Path, new: Path, renamed: Renamed) -> Node:
        moved = _at(root, old)
        assert moved is not None
        present = _at(root, new)
        if present is not None and not renamed.yields:
            self._problems.add(moved, f"is an old spelling of {_shown(new, moved)}, which stands beside it",
                               mark=moved.key_mark)  # fmt: skip
            return _without(root, old)
        if present is None:
            changed = _with(_without(root, old), new, moved)
            if changed is None:  # what the key belongs below is a mistake itself
                return root
            self._name(moved, (renamed.old[-1], new[-1]), _shown(new, moved))
            return changed
        self._problems.warn(
            moved, f"is an old spelling of {_shown(new, moved)}, which stands beside it and holds", mark=moved.key_mark
        )
        return _without(root, old)

    def _name(self, node: Node, spelling: tuple[str, str], present: str) -> None:
        if spelling not in self._named:
            self._named.add(spelling)
            self._problems.warn(node, "is an old spelling", f"write {present}", mark=node.key_mark)

    def with_one_key(self, policy: Node) -> Node:
        """An access policy whose keys are a list: `secondary_key` was the second of two."""
        entries = policy.value
        if not isinstance(entries, dict) or _SECOND_KEY not in entries:
            return policy
        second = entries[_SECOND_KEY]
        self._name(second, (_SECOND_KEY, _KEY), "key: [KEY, SECONDARY_KEY]")
        others = {name: entry for name, entry in entries.items() if name != _SECOND_KEY}
        if second.value is None:
            return replace(policy, value=others)
        first = others.get(_KEY, second)
        keys = [*(first.value if isinstance(first.value, list) else [first]), second]
        return replace(policy, value={**others, _KEY: replace(first, value=keys if _KEY in others else [second])})

    def rules(self, section: Node) -> Node:
        """The rules, each in the present spelling when it is asked for."""
        match section.value:
            case RuleNodes() as rules:
                return replace(section, value=rules.changed(self._rule))
            case list() as rules:
                return replace(section, value=[self._rule(rule) for rule in rules])
        return section

    def _rule(self, rule: Node) -> Node:
        """A rule whose `platforms` stand under `push`; without a push they say nothing."""
        entries = rule.value
        if not isinstance(entries, dict) or "platforms" not in entries:
            return rule
        platforms, push = entries["platforms"], entries.get("push")
        others = {name: entry for name, entry in entries.items() if name != "platforms"}
        if push is not None and isinstance(push.value, dict):
            if "platforms" in push.value:
                self._problems.add(platforms, "is an old spelling of push.platforms, which stands beside it",
                                   mark=platforms.key_mark)  # fmt: skip
                return replace(rule, value=others)
            others["push"] = replace(push, value={**push.value, "platforms": platforms})
        self._name(platforms, ("rules.platforms", "push.platforms"), "push.platforms")
        return replace(rule, value=others)


def _shown(new: Path, moved: Node) -> str:
    """The present path as a hint: the key alone where only it has changed."""
    above = ".".join(new[:-1])
    return new[-1] if moved.key.rpartition(".")[0] == above else ".".join(new)


def _at(node: Node, path: Path) -> Node | None:
    for part in path:
        if not isinstance(node.value, dict) or part not in node.value:
            return None
        node = node.value[part]
    return node


def _without(node: Node, path: Path) -> Node:
    """The node without what is at a path, where something is."""
    name, *more = path
    entries = node.value
    assert isinstance(entries, dict)
    if not more:
        return replace(node, value={each: entry for each, entry in entries.items() if each != name})
    return replace(node, value={**entries, name: _without(entries[name], tuple(more))})


def _without_empty_limits(http: Node) -> Node:
    """An HTTP source without `limits` from which all keys have moved."""
    limits = _at(http, ("limits",))
    return http if limits is None or limits.value else _without(http, ("limits",))


def _with(node: Node, path: Path, entry: Node) -> Node | None:
    """The node with `entry` at a path, and objects on the way there; None where something else stands on the way."""
    if node.value is None:
        node = replace(node, value={})
    if not isinstance(node.value, dict):
        return None
    name, *more = path
    if not more:
        return replace(node, value={**node.value, name: entry})
    key = f"{node.key}.{name}" if node.key else name
    below = node.value.get(name) or Node(key=key, mark=entry.mark, key_mark=entry.key_mark, value={})
    changed = _with(below, tuple(more), entry)
    return None if changed is None else replace(node, value={**node.value, name: changed})


def _changed(node: Node, path: Path, change: Callable[[Node], Node]) -> Node:
    """The node with every node at a path replaced by what `change` makes of it; `*` is any name or item."""
    if not path:
        return change(node)
    part, *more = path
    match node.value:
        case dict() as entries:
            return replace(
                node,
                value={
                    name: _changed(entry, tuple(more), change) if part in (name, "*") else entry
                    for name, entry in entries.items()
                },
            )
        case list() as items if part == "*":
            return replace(node, value=[_changed(item, tuple(more), change) for item in items])
    return node
