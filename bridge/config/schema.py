"""The JSON Schema of the configuration (2020-12), for the YAML language server of an editor.

It says what the shape of a file can say; `check` says the rest. What `${env:...}` fills in is a text until then, so a text
with a placeholder may stand wherever a number or a choice does, and a key left empty is as if not written.
"""

from collections.abc import Mapping, Sequence
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bridge.config.deprecated import add_old_keys
from bridge.config.keys import functions_of, keys_of, spelled_default
from bridge.config.models import Sections
from connectors.auth import one_or_more
from connectors.duration import seconds
from connectors.servicebus.settings import Credential, Topic
from connectors.size import byte_count
from rules import language
from rules.loader import PLATFORMS

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}
_TEXT = {"type": ["string", "number"]}
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|\$\{"}]}
_SIZE = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^[0-9]+ ?([KMG]i?B|B)$|\$\{"}]}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_AS_TEXT: Mapping[type[BaseModel], Mapping[str, Any]] = {Topic: _TEXT, Credential: {"const": "managed_identity"}}
"""Models that a text may stand for."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole configuration file; in a directory each file may have some of the sections."""
    schemas = _Schemas()
    document = schemas.object_of(Sections)
    rules = {"type": "array", "items": language.schema_of(language.RULE, PLATFORMS)}
    document["properties"] |= {
        "rules": {"description": "What is pushed, to whom, for which events; in order.", **_or_null(rules)},
        "defaults": {
            "description": "What all rules have unless they say otherwise.",
            **_or_null(language.schema_of(language.DEFAULTS, PLATFORMS)),
        },
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pushbridge configuration",
        **document,
        "$defs": schemas.definitions,
    }
    add_old_keys(schema)
    return schema


class _Schemas:
    """Schemas of models, each defined once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def object_of(self, model: type[BaseModel]) -> dict[str, Any]:
        keys = keys_of(model)
        properties = {}
        for key in keys:
            schema = self._type(key.annotation, key.constraints)
            default = spelled_default(key)
            properties[key.name] = {
                "description": key.says,
                **(schema if key.required else _or_null(schema)),
                **({} if default is None else {"default": default}),
            }
        required = [key.name for key in keys if key.required]
        return {"type": "object", "properties": properties, "additionalProperties": False, "required": required}

    def _type(self, annotation: Any, constraints: Sequence[Any] = ()) -> dict[str, Any]:
        functions = functions_of(annotation, constraints)
        if seconds in functions:
            return dict(_DURATION)
        if byte_count in functions:
            return dict(_SIZE)
        if one_or_more in functions:
            return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
        arguments, origin = get_args(annotation), get_origin(annotation)
        if origin is Annotated:
            return self._type(arguments[0], [*arguments[1:], *constraints])
        if origin in (Union, UnionType):
            kinds = [self._type(each, constraints) for each in arguments if each is not type(None)]
            return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if origin is Literal:
            return {"anyOf": [{"enum": list(arguments)}, _PLACEHOLDER]}
        if origin in (tuple, list, frozenset):
            return {"type": "array", "items": self._type(arguments[0])}
        if origin is not None:
            return {"type": "object", "additionalProperties": _or_null(self._type(arguments[1]))}
        if isclass(annotation) and issubclass(annotation, BaseModel):
            return self._reference(annotation)
        if annotation in (bool, int, float):
            return {"anyOf": [{"type": _NAMES[annotation], **_bounds(constraints)}, _PLACEHOLDER]}
        return dict(_TEXT)

    def _reference(self, model: type[BaseModel]) -> dict[str, Any]:
        name = f"{model.__module__}.{model.__name__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # known from here on, also to itself
            definition = self.object_of(model)
            if model in _AS_TEXT:
                definition = {"anyOf": [_AS_TEXT[model], definition]}
            self.definitions[name] = definition
        return {"$ref": f"#/$defs/{name}"}


_NAMES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number"}


def _bounds(constraints: Sequence[Any]) -> dict[str, Any]:
    return {
        name: value
        for each in constraints
        for attribute, name in _BOUNDS.items()
        if (value := getattr(each, attribute, None)) is not None
    }


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
