"""What pydantic complains of in a document, in our words and at its place."""

from collections.abc import Mapping
from inspect import isclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bridge.config import cures
from bridge.config.models.document import Document
from bridge.config.section import fields_of
from connectors.table import CONNECTORS, LATER
from hub.spelling import did_you_mean
from rules.node import Node
from rules.problems import Problems

ModelT = TypeVar("ModelT", bound=BaseModel)

LATER_KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (): ("registration", "templates"),
    ("bridge",): ("tracing",),
    ("bridge", "watchdog"): ("action",),
    ("sources", "*"): ("dedupe", "order", *LATER),
    **{("sources", "*", key, *path): keys for key, kind in CONNECTORS.items() for path, keys in kind.later.items()},
    ("dead_letters", "sources", "*"): (
        *(key for key, kind in CONNECTORS.items() if kind.keeps_dead_letters and kind.dead_letters is None),
        *LATER,
    ),
    ("delivery",): ("poison", "rate"),
    ("delivery", "retry"): ("jitter",),
}
"""Keys of the language that a later version will do, by where they stand."""

_EXPECTED: Mapping[str, str] = {
    **dict.fromkeys(("string_type", "string_sub_type"), "a text"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("tuple_type", "frozen_set_type", "list_type"), "a list"),
    "path_type": "the name of a file",
}
"""What a value of another kind should have been, by pydantic's name of the complaint."""


def validated(
    model: type[ModelT],
    plain: Any,
    root: Node,
    problems: Problems,
    *,
    later: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType({}),
    context: Mapping[str, Any] | None = None,
) -> ModelT | None:
    """What a whole document says as a model; None after complaining of every mistake at its place.

    `plain` is the document without marks. `later` has the keys of a later version, by where they stand.
    """
    check_numbers(root, [], problems, model)
    try:
        return model.model_validate(plain, context=context)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            report(details, root, problems, model, later)
        return None


def check_numbers(node: Node, location: list[int | str], problems: Problems, model: type[BaseModel] = Document) -> None:
    """True and false are no numbers, though pydantic takes them for 1 and 0."""
    match node.value:
        case dict() as entries:
            for name, entry in entries.items():
                check_numbers(entry, [*location, name], problems, model)
        case list() as items:
            for position, item in enumerate(items):
                check_numbers(item, [*location, position], problems, model)
        case bool():
            try:
                field = _keyed_fields(_model_at(location[:-1], model))[str(location[-1])]
            except KeyError:
                return  # an unknown key, which has a complaint of its own, or a name
            kinds = {field.annotation, *get_args(field.annotation)}
            kinds |= {get_args(kind)[0] for kind in kinds if get_origin(kind) is Annotated}
            if kinds & {int, float} and bool not in kinds:
                problems.add(node, "expected a whole number" if int in kinds else "expected a time such as 30s")


def report(
    details: ErrorDetails,
    root: Node,
    problems: Problems,
    model: type[BaseModel] = Document,
    later: Mapping[tuple[str, ...], tuple[str, ...]] = LATER_KEYS,
) -> None:
    """One complaint of pydantic, in our words and at its place."""
    location = [part for part in details["loc"] if part != "[key]"]
    node = root.find(location)
    if problems.is_mistaken(node.key) and details["type"] not in ("extra_forbidden", "missing"):
        return  # a substitution that failed left an empty text, which needs no second complaint
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            name = str(location[-1])
            pattern, known = _keys_at(location[:-1], model)
            problems.unknown_key(name, node, known, later.get(pattern, ()))
        case "missing":
            problems.add(node, f"{location[-1]} is missing", mark=node.key_mark)
        case "value_error":
            problems.add(node, str(context["error"]), _value_cure(str(context["error"]), node))
        case "string_too_short" | "too_short":
            problems.add(node, "is empty")
        case "literal_error":
            choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            is_quoted = node.written in choices  # the number of a choice, as a text
            hint = (
                "write it without quotes" if is_quoted else did_you_mean(str(node.written), choices, all_if_few=False)
            )
            problems.add(node, f"expected {context['expected']}", hint)
        case "model_type" | "model_attributes_type":
            _, known = _keys_at(location, model)
            hint = cures.keys_cure(node, _model_at(location, model))
            problems.add(node, f"expected keys such as {', '.join(known[:3])}", hint)
        case "mapping_type" | "dict_type":
            problems.add(node, "expected keys", cures.section_cure(node.value))
        case "bool_type" | "bool_parsing":
            problems.add(node, "expected true or false", cures.flag_cure(node.text))
        case "string_pattern_mismatch" if (form := cures.form_of(str(location[-1]))) is not None:
            problems.add(node, form, cures.path_cure(node.text) if location[-1] == "path" else "")
        case kind if kind in _EXPECTED:
            problems.add(node, f"expected {_EXPECTED[kind]}", cures.kind_cure(kind, node))
        case _:
            problems.add(node, details["msg"].replace("Input should", "should").replace("String should", "should"))


def _value_cure(message: str, node: Node) -> str:
    if message.startswith("not a duration"):
        return cures.duration_cure(node.text)
    if message.startswith("not a regular expression"):
        return cures.pattern_cure(message)
    return cures.size_cure(node.text) if message.startswith("not a size") else ""


def _keys_at(location: list[int | str], model: type[BaseModel]) -> tuple[tuple[str, ...], list[str]]:
    """The place as LATER_KEYS names it, and the keys that may stand there."""
    pattern, found = _place_of(location, model)
    return pattern, [field.alias or name for name, field in fields_of(found).items()]


def _model_at(location: list[int | str], model: type[BaseModel]) -> type[BaseModel]:
    return _place_of(location, model)[1]


def _place_of(location: list[int | str], model: type[BaseModel]) -> tuple[tuple[str, ...], type[BaseModel]]:
    pattern: list[str] = []
    in_collection = False
    for part in location:
        if in_collection:
            pattern.append("*")
            in_collection = False
            continue
        pattern.append(str(part))
        annotation = _keyed_fields(model)[str(part)].annotation
        in_collection = get_origin(annotation) not in (None, Union, UnionType)
        model = _model_in(annotation) or model
    return tuple(pattern), model


def _keyed_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument)) is not None), None)
