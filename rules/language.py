"""The keys of `rules` and `defaults`, what each means and takes: for the reader, the schema and the reference."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

TEXT: Mapping[str, Any] = {"type": ["string", "number", "boolean"]}
_NAMES: Mapping[str, Any] = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
_DURATION: Mapping[str, Any] = {"type": ["string", "number"], "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d)?)+$|\$\{"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: a sentence on it, its JSON Schema, and its type and default in words for the reference.

    `below` are the keys of an object that stands under it, `entry` whether that object has them under a name of its own.
    """

    says: str
    schema: Mapping[str, Any]
    type: str = "text"
    default: str = ""
    required: bool = False
    below: "Mapping[str, Key] | None" = None
    entry: bool = False
    names_platforms: bool = False
    """Whether a push service or a list of them stands there."""


AUDIENCE: Mapping[str, Key] = {
    "user": Key(says="All installations of one user, by an id that may have placeholders.", schema=TEXT),
    "installation": Key(says="A single device, by its installation's id, which may have placeholders.", schema=TEXT),
}

NATIVE: Mapping[str, Key] = {
    "payload": Key(
        says="What the push service gets, as an object, or as one text of JSON or XML; values fill its placeholders.",
        schema={"type": ["object", "string"]},
        type="object or text",
        required=True,
    ),
    "headers": Key(
        says="Headers of the request, such as apns-push-type; FCM has none.",
        schema={"type": "object", "additionalProperties": TEXT},
        type="texts by name",
    ),
}

PUSH: Mapping[str, Key] = {
    "to": Key(
        says="Who is notified: everyone, a tag expression with && || ! ( ), or an object with user or installation.",
        schema={},
        type="text or object",
        required=True,
        below=AUDIENCE,
    ),
    "with": Key(
        says="The properties that fill the templates of the phones; each is a text with placeholders.",
        schema={"type": "object", "additionalProperties": TEXT, "propertyNames": {"pattern": "^[A-Za-z0-9_]{1,120}$"}},
        type="texts by name",
    ),
    "native": Key(
        says="A whole payload for each push service named, beside or instead of templates.",
        schema={},
        type="object by platform",
        below=NATIVE,
        entry=True,
    ),
    "priority": Key(
        says="How urgently a phone is woken: high at once, normal when it suits the battery.",
        schema={"enum": ["high", "normal"]},
        type="high, normal",
        default="high",
    ),
    "collapse": Key(says="A newer notification with the same text replaces an older one.", schema=TEXT),
    "ttl": Key(
        says="How long a notification is worth delivering, from when its event was accepted.",
        schema=_DURATION,
        type="duration",
    ),
    "hub": Key(
        says="The hub whose phones are notified; without it the default one.", schema=TEXT, default="the default hub"
    ),
    "platforms": Key(
        says="Only phones of these push services are notified.",
        schema={},
        type="push service or list",
        names_platforms=True,
        default="all of them",
    ),
}

DEFAULT_PUSH: Mapping[str, Key] = {name: PUSH[name] for name in ("priority", "collapse", "ttl", "hub", "platforms")}

RULE: Mapping[str, Key] = {
    "name": Key(
        says="What metrics, logs and notifications call this rule; no two have the same.", schema=TEXT, required=True
    ),
    "source": Key(
        says="The sources whose events are looked at; without it those of all.", schema=_NAMES, type="text or list"
    ),
    "match": Key(
        says="A pattern that an event has to fit: constants, lists of alternatives, and operators such as gte or glob.",
        schema={
            "type": "object",
            "properties": {name: {} for name in ("id", "source", "type", "subject", "time", "data", "meta")},
            "additionalProperties": False,
        },
        type="pattern",
        default="every event",
    ),
    "when": Key(says="An expression over the event that has to be true as well.", schema=TEXT, type="expression"),
    "push": Key(says="What is said, and to whom, when an event fits.", schema={}, type="object", below=PUSH),
    "stop": Key(
        says="Rules further down do not see an event that fitted this one.",
        schema={"type": "boolean"},
        type="true or false",
        default="false",
    ),
}

DEFAULTS: Mapping[str, Key] = {
    "push": Key(
        says="What pushes of all rules have unless they say otherwise.", schema={}, type="object", below=DEFAULT_PUSH
    ),
}


def schema_of(keys: Mapping[str, Key], platforms: Collection[str]) -> dict[str, Any]:
    """JSON Schema 2020-12 of an object with these keys, where there are these push services."""
    return {
        "type": "object",
        "properties": {name: _property(key, platforms) for name, key in keys.items()},
        "additionalProperties": False,
        "required": [name for name, key in keys.items() if key.required],
    }


def _property(key: Key, platforms: Collection[str]) -> dict[str, Any]:
    schema: Mapping[str, Any] = key.schema
    if key.names_platforms:
        name = {"enum": list(platforms)}
        schema = {"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]}
    elif key.below is not None and not key.entry:
        schema = schema_of(key.below, platforms)
    elif key.below is not None:
        entries = {name: schema_of(key.below, platforms) for name in platforms}
        schema = {"type": "object", "properties": entries, "additionalProperties": False}
    if key.below is AUDIENCE:
        schema = {"anyOf": [TEXT, schema]}
    if not key.required and schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {"description": key.says, **schema}
