"""The JSON Schema of the configuration (2020-12), for the YAML language server of an editor.

It says what the shape of a file can say; `check` says the rest. What `${env:...}` fills in is a text until then, so a text
with a placeholder may stand wherever a number or a choice does, and a key left empty is as if not written.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bridge.config.deprecated import add_old_keys
from bridge.config.keys import form_of, functions_of, keys_of, spelled_default
from bridge.config.models.decode import FixedField
from bridge.config.models.document import Document
from bridge.config.models.registration import RegistrationTemplate
from connectors.auth import one_or_more
from connectors.duration import seconds
from connectors.servicebus.settings import Credential, Topic
from connectors.size import byte_count
from hub.egress import comma_separated
from rules.match.spellings import MARKED, NO_FIELD, never_fields, no_fields_below, no_fields_if_marked
from rules.models import CONSTANT, OPERATORS, PATTERN, TEXT_PATTERN, TOP_PATTERN, Form, Keys, Operators, Push

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{"}
_TEXT = {"type": ["string", "number"]}
_ANY_TEXT = {"type": ["string", "number", "boolean"]}
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|\$\{"}]}
_SIZE = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^[0-9]+ ?([KMG]i?B|B)$|\$\{"}]}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_AS_TEXT: Mapping[type[BaseModel], Mapping[str, Any]] = {
    Topic: _TEXT,
    Credential: {"const": "managed_identity"},
    RegistrationTemplate: _TEXT,
    FixedField: {"type": ["string", "integer"]},
}
"""Models that a text may stand for."""
_INSTEAD: Mapping[type[BaseModel], Mapping[str, Mapping[str, Any]]] = {
    Push: {"to": {"properties": {"live_activity": {"required": ["channel"]}}, "required": ["live_activity"]}},
}
"""Keys of models that are required unless the rest is of another form: a broadcast channel is for who looks on."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole configuration file; in a directory each file may have some of the sections."""
    schema = schema_of(Document, "pushbridge configuration")
    add_old_keys(schema)
    return schema


def schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema of a whole file that holds what a model says."""
    schemas = _Schemas()
    document = schemas.object_of(model)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **document,
        "$defs": schemas.definitions,
    }


class _Schemas:
    """Schemas of models, each defined once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def object_of(self, model: type[BaseModel]) -> dict[str, Any]:
        keys = keys_of(model)
        has_nulls = issubclass(model, Keys) and not model.empty_is_unwritten
        properties = {}
        for key in keys:
            schema = self._type(key.annotation, key.constraints)
            default = spelled_default(key)
            properties[key.name] = {
                "description": key.says,
                **(schema if key.required or has_nulls else _or_null(schema)),
                **({} if default is None else {"default": default}),
            }
        required = [key.name for key in keys if key.required]
        return {"type": "object", "properties": properties, "additionalProperties": False, "required": required}

    def _type(self, annotation: Any, constraints: Sequence[Any] = ()) -> dict[str, Any]:
        functions = functions_of(annotation, constraints)
        if seconds in functions or annotation is timedelta:
            return dict(_DURATION)
        if byte_count in functions:
            return dict(_SIZE)
        if one_or_more in functions:
            return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
        if comma_separated in functions:
            return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
        if (form := form_of(constraints)) is not None:
            return self._of_form(form)
        arguments, origin = get_args(annotation), get_origin(annotation)
        if origin is Annotated:
            return self._type(arguments[0], [*arguments[1:], *constraints])
        if origin in (Union, UnionType):
            kinds = [self._type(each, constraints) for each in arguments if each is not type(None)]
            return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        if origin is Literal:
            return _choices(arguments)
        if origin in (tuple, list, frozenset):
            return {"type": "array", "items": self._type(arguments[0]), **_lengths(arguments, constraints)}
        if origin is not None:
            schema = {"type": "object", "additionalProperties": _or_null(self._type(arguments[1]))}
            names = _constraint("pattern", get_args(arguments[0])[1:])
            return schema if names is None else {**schema, "propertyNames": {"pattern": names}}
        return self._simple(annotation, constraints)

    def _simple(self, annotation: Any, constraints: Sequence[Any]) -> dict[str, Any]:
        if annotation is Any:
            return {}
        if isclass(annotation) and issubclass(annotation, BaseModel):
            return self._reference(annotation)
        if isclass(annotation) and issubclass(annotation, Enum):
            return _choices([each.value for each in annotation])
        if annotation in (bool, int, float):
            return {"anyOf": [{"type": _NAMES[annotation], **_bounds(constraints)}, _PLACEHOLDER]}
        return dict(_TEXT)

    def _reference(self, model: type[BaseModel]) -> dict[str, Any]:
        name = f"{model.__module__}.{model.__name__}"
        if name not in self.definitions:
            self.definitions[name] = {}  # known from here on, also to itself
            definition = self.object_of(model)
            for key, otherwise in _INSTEAD.get(model, {}).items():
                definition["required"].remove(key)
                definition.setdefault("allOf", []).append({"anyOf": [{"required": [key]}, otherwise]})
            if model in _AS_TEXT:
                definition = {"anyOf": [_AS_TEXT[model], definition]}
            self.definitions[name] = definition
        return {"$ref": f"#/$defs/{name}"}

    def _of_form(self, form: Form) -> dict[str, Any]:
        match form:
            case _ if form == PATTERN:
                return self._pattern("pattern", inside_field=True)
            case _ if form == TOP_PATTERN:
                return self._pattern("top-pattern", inside_field=False)
            case _ if form == TEXT_PATTERN:
                return self._text_pattern()
            case _ if form == CONSTANT:
                return {"type": "string"}
        return dict(_ANY_TEXT)

    def _pattern(self, name: str, *, inside_field: bool) -> dict[str, Any]:
        """A pattern of any value. A word that `check` takes for an operator gone wrong is no field here either."""
        if name not in self.definitions:
            here = {"$ref": f"#/$defs/{name}"}
            self.definitions[name] = {}
            self.definitions[name] = {
                "anyOf": [
                    {"type": ["string", "number", "boolean", "null"]},
                    {"type": "array", "items": here, "minItems": 1},
                    self._operators("operators" if inside_field else "top-operators", here),
                    {
                        **self._fields(inside_field=inside_field),
                        "additionalProperties": self._pattern("pattern", inside_field=True),
                    },
                ]
            }
        return {"$ref": f"#/$defs/{name}"}

    def _fields(self, *, inside_field: bool) -> dict[str, Any]:
        """Fields of an object: no operator, and none gone wrong as `check` sees it."""
        name = "like-an-operator-below" if inside_field else "like-an-operator"
        if name not in self.definitions:
            self.definitions["no-field"] = {"pattern": never_fields()}
            self.definitions["no-field-below"] = {"pattern": no_fields_below()}
            below = {"$ref": "#/$defs/no-field-below"}
            self.definitions[name] = {
                "anyOf": [
                    {"$ref": "#/$defs/no-field"},
                    below if inside_field else {"allOf": [{"pattern": MARKED}, below]},
                    {"pattern": no_fields_if_marked()},
                ]
            }
        like_an_operator = {"$ref": f"#/$defs/{name}"}
        unmistakable = {"allOf": [{"pattern": NO_FIELD}, like_an_operator]}
        return {
            "type": "object",
            "propertyNames": {"not": {"anyOf": [{"enum": sorted(OPERATORS)}, unmistakable]}},
            "not": {"minProperties": 1, "propertyNames": like_an_operator},
        }

    def _text_pattern(self) -> dict[str, Any]:
        name = "text-pattern"
        if name not in self.definitions:
            here = {"$ref": f"#/$defs/{name}"}
            text = {"type": ["string", "null"]}
            self.definitions[name] = {}
            items = {"type": "array", "items": here, "minItems": 1}
            self.definitions[name] = {
                "anyOf": [text, items, self._operators("operators", self._pattern("pattern", inside_field=True))]
            }
        return {"$ref": f"#/$defs/{name}"}

    def _operators(self, name: str, pattern: dict[str, Any]) -> dict[str, Any]:
        """An object of operators; those that hold a pattern hold `pattern`."""
        if name not in self.definitions:
            operators = self.object_of(Operators)
            for key in keys_of(Operators):
                if form_of(key.constraints) == PATTERN:
                    operators["properties"][key.name] = {"description": key.says, **pattern}
            self.definitions[name] = {**operators, "minProperties": 1}
        return {"$ref": f"#/$defs/{name}"}


_NAMES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number"}


def _choices(values: Sequence[Any]) -> dict[str, Any]:
    return {"anyOf": [{"enum": list(values)}, _PLACEHOLDER]}


def _lengths(arguments: Sequence[Any], constraints: Sequence[Any]) -> dict[str, Any]:
    """How many items a list has: as many as its type names, or as its constraints say."""
    if arguments[1:] and Ellipsis not in arguments:
        return {"minItems": len(arguments), "maxItems": len(arguments)}
    shortest = _constraint("min_length", constraints)
    return {} if shortest is None else {"minItems": shortest}


def _constraint(name: str, constraints: Sequence[Any]) -> Any:
    """The value of the first constraint of that name, also of those in a `Field(...)`; None if there is none."""
    found = (getattr(part, name, None) for each in constraints for part in getattr(each, "metadata", [each]))
    return next((value for value in found if value is not None), None)


def _bounds(constraints: Sequence[Any]) -> dict[str, Any]:
    return {
        name: value for attribute, name in _BOUNDS.items() if (value := _constraint(attribute, constraints)) is not None
    }


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
