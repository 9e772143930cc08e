"""Every key of the configuration, as the models have it: for the schema and the reference.

A key is described by the docstring below its field, in the class of the part that it sets.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from bridge.config.models.document import TAKES_A_RESTART, Document
from bridge.config.models.listeners import Listen
from bridge.config.section import fields_of
from connectors.auth import one_or_more
from connectors.duration import seconds
from connectors.size import byte_count
from hub.egress import comma_separated
from rules.models import Form
from rules.render import Text
from rules.units import spelled


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOfModel:
    """One key. `path` has NAME for a name that the configuration chooses and [] for an item of a list; `annotation` and
    `constraints` say what may stand there, `default` is None where there is none."""

    path: str
    attribute: str
    """What the model calls it: a key that is a word of pydantic's goes by another name there."""
    says: str
    annotation: Any
    constraints: Sequence[Any]
    required: bool
    default: Any

    @property
    def name(self) -> str:
        """The key itself."""
        return self.path.rpartition(".")[2]

    @property
    def reloads(self) -> bool:
        """Whether a reload takes it up."""
        return not any(self.path == part or self.path.startswith(f"{part}.") for part in TAKES_A_RESTART)


def all_keys(model: type[BaseModel] = Document, above: str = "") -> Iterator[KeyOfModel]:
    """Every key of a model and of all below it, each behind the one that it stands under."""
    for key in keys_of(model, above):
        yield key
        suffix, below = _model_below(key.annotation)
        if below is not None:
            yield from all_keys(below, f"{key.path}{suffix}")


def keys_of(model: type[BaseModel], above: str = "") -> list[KeyOfModel]:
    """The keys of one model, whose own path is `above`."""
    says = _docstrings(model)
    keys = []
    for name, field in fields_of(model).items():
        key = field.alias or name
        path = f"{above}.{key}" if above else key
        keys.append(
            KeyOfModel(
                path=path,
                attribute=name,
                says=field.description or says.get(name, ""),
                annotation=field.annotation,
                constraints=tuple(field.metadata),
                required=field.is_required(),
                default=None if field.is_required() else field.get_default(call_default_factory=True),
            )
        )
    return keys


@cache
def _docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """The texts below the fields of a class and of those above it."""
    says: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        tree = _classes_of(cls.__module__).get(cls.__qualname__)
        if tree is None:  # made while running: its fields have to carry their descriptions
            continue
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    says[name] = " ".join(text.split())
    return says


@cache
def _classes_of(module: str) -> Mapping[str, ast.ClassDef]:
    """The classes of a module by name. `inspect.getsource` of a class would parse the whole module for each of them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def spelled_default(key: KeyOfModel) -> Any:
    """A default as a file would have it; None where there is none to speak of."""
    value = key.default
    if isinstance(value, Listen):
        return f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, timedelta):
        return spelled(value)
    if value is None or isinstance(value, BaseModel | SecretStr) or value in ((), frozenset(), {}):
        return None
    if seconds in functions_of(key.annotation, key.constraints):
        return spelled(timedelta(seconds=value))
    if byte_count in functions_of(key.annotation, key.constraints):
        return f"{value // 1024**2}MiB" if value % 1024**2 == 0 else value
    return sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value


def functions_of(annotation: Any, constraints: Sequence[Any]) -> list[Any]:
    """The validators of a field, also those that its type brings."""
    found = [function for each in constraints if (function := getattr(each, "func", None)) is not None]
    if get_origin(annotation) in (Annotated, Union, UnionType):
        inner, *more = get_args(annotation)
        found += functions_of(inner, more if get_origin(annotation) is Annotated else ())
    return found


def form_of(constraints: Sequence[Any]) -> Form | None:
    """The form of a text or pattern, which a type names of itself."""
    return next((each for each in constraints if isinstance(each, Form)), None)


def _is_of_secrets(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_of_secrets, get_args(annotation)))


def type_in_words(annotation: Any, constraints: Sequence[Any] = ()) -> str:
    """What may stand at a key, for people."""
    if (form := form_of(constraints)) is not None:
        return form.words
    functions = functions_of(annotation, constraints)
    if seconds in functions:
        return "duration"
    if byte_count in functions:
        return "size"
    if comma_separated in functions:
        return "list of text, or text with commas"
    if one_or_more in functions:
        return "secret text or list" if _is_of_secrets(annotation) else "text or list of text"
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return type_in_words(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        kinds = [type_in_words(each) for each in arguments if each is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if isclass(annotation) and issubclass(annotation, Enum):
        return ", ".join(str(each.value) for each in annotation)
    if annotation is Any:
        return "anything"
    if origin is tuple and Ellipsis not in arguments:
        return f"list of {len(arguments)}: {type_in_words(arguments[0])}"
    if origin in (tuple, list, frozenset):
        inner = type_in_words(arguments[0])
        return "list of objects" if inner == "object" else f"list of {inner}"
    if origin is not None and arguments[1] is Any:
        return "object"
    if origin is not None:
        return "object by name" if type_in_words(arguments[1]) == "object" else f"{type_in_words(arguments[1])} by name"
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return "object"
    words = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        timedelta: "duration",
        Listen: "host:port",
        SecretStr: "secret text",
    }
    return words.get(annotation, "file" if annotation.__name__ == "Path" else "text")


def _model_below(annotation: Any) -> tuple[str, type[BaseModel] | None]:
    """The model that stands under a key, and what its path has in between."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return "", annotation
    origin = get_origin(annotation)
    for argument in get_args(annotation):
        suffix, model = _model_below(argument)
        if model is not None:
            between = "" if origin in (Annotated, Union, UnionType) else "[]" if origin in (tuple, list) else ".NAME"
            return f"{between}{suffix}", model
    return "", None
