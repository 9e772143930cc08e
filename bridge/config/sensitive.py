"""What `check` says of configurations whose codes are kept all the same."""

from collections.abc import Mapping

from connectors.table import CONNECTORS
from rules.engine import RuleSet
from rules.node import Node
from rules.problems import Problems


def check_sensitive(
    rules: RuleSet, sources: Mapping[str, Node], placed: Mapping[str, Node], problems: Problems
) -> None:
    """Warn of bodies that a sensitive rule does not keep out of the dead letters; `placed` are `dead_letters.sources`."""
    said: set[str] = set()
    for rule in rules.rules:
        if rule.push is None or not rule.push.sensitive:
            continue
        for name in sources if rule.sources is None else [each for each in sources if each in rule.sources]:
            if name not in said and not _says(sources[name], "sensitive") and _keeps_unread(sources[name]):
                said.add(name)
                unread = _unread(sources[name])
                problems.warn(
                    sources[name],
                    f"rule {rule.name} is sensitive, and what of this source cannot be {unread} is kept whole",
                    f"sources.{name}.sensitive: true keeps none",
                )
    for name, target in placed.items():
        is_native = _says(target, "native")
        if is_native and name in sources and (name in said or _says(sources[name], "sensitive")):
            problems.warn(
                target, "the broker keeps dead letters of this sensitive source with their bodies", "leave out native"
            )


def _unread(source: Node) -> str:
    """What cannot be done with a message that is kept: one that cannot be decoded is not, with `on_error: ack`."""
    entries = source.value if isinstance(source.value, dict) else {}
    decode = entries.get("decode")
    on_error = decode.value.get("on_error") if decode is not None and isinstance(decode.value, dict) else None
    return "mapped" if on_error is not None and on_error.value == "ack" else "decoded or mapped"


def _keeps_unread(source: Node) -> bool:
    """Not where the sender is told, and has the message still: of that no body is kept."""
    entries = source.value if isinstance(source.value, dict) else {}
    return not any(CONNECTORS[key].is_posted_to for key in entries if key in CONNECTORS)


def _says(node: Node, key: str) -> bool:
    """Whether the entry is true."""
    entry = node.value.get(key) if isinstance(node.value, dict) else None
    return entry is not None and entry.value is True
