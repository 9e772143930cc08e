"""Old spellings of keys in the JSON Schema: marked as deprecated, and no mistake."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.config.spellings import RENAMED, Path

Object = dict[str, Any]

_BY_HAND: Sequence[tuple[str, str]] = (
    ("hubs.*.auth.sas.*.secondary_key", "hubs.*.auth.sas.*.key"),
    ("rules.*.platforms", "rules.*.push.platforms"),
)
"""Old and present paths of keys that did more than move."""


def add_old_keys(document: Object) -> None:
    """Add every old spelling to a schema with `$defs`, with what may stand at the present one."""
    by_hand = [(tuple(old.split(".")), tuple(new.split("."))) for old, new in _BY_HAND]
    for old, new in [*((renamed.old, renamed.new) for renamed in RENAMED), *by_hand]:
        for names, present in list(_objects(document, document, new[:-1])):
            schema = {**present["properties"][new[-1]], "deprecated": True}
            for place in _places(document, document, old[:-1], iter(names)):
                place["properties"].setdefault(old[-1], schema)


def _objects(schema: Object, document: Object, path: Path) -> Iterator[tuple[Path, Object]]:
    """The objects at a path, each with what its `*` stand for; a name that the user chooses is `*` itself."""
    for one in _resolved(schema, document):
        if not path:
            if "properties" in one:
                yield (), one
            continue
        part, *more = path
        if part != "*":
            yield from _objects(one.get("properties", {}).get(part, {}), document, tuple(more))
            continue
        named = {**one.get("properties", {}), "*": one.get("additionalProperties") or one.get("items") or {}}
        for name, below in named.items():
            yield from (((name, *names), found) for names, found in _objects(below, document, tuple(more)))


def _places(schema: Object, document: Object, path: Path, names: Iterator[str]) -> Iterator[Object]:
    """The objects at an old path, made where there are none any more."""
    for one in _resolved(schema, document):
        if not path:
            if "properties" in one:
                yield one
            continue
        part, *more = path
        name = next(names) if part == "*" else part
        if part == "*" and name == "*":
            below = one.get("additionalProperties") or one.get("items")
        elif "properties" in one:
            below = one["properties"].setdefault(name, _new_object())
        else:
            below = None
        if below:
            yield from _places(below, document, tuple(more), names)
            return


def _new_object() -> Object:
    return {"type": "object", "properties": {}, "additionalProperties": False, "deprecated": True}


def _resolved(schema: Object, document: Mapping[str, Any]) -> Iterator[Object]:
    """The schema, or those that it refers to or is any of."""
    if "$ref" in schema:
        yield from _resolved(document["$defs"][schema["$ref"].rpartition("/")[2]], document)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _resolved(each, document)
    else:
        yield schema
