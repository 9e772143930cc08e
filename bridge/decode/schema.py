"""`decode.schema`: whether data has the shape that a JSON Schema says (drafts 3 to 2020-12)."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import orjson

from bridge.errors import EventError, Reason

MAX_SCHEMA: Final = 1024 * 1024
_LONGEST_PLACE: Final = 200

Check = Callable[[Any], None]
"""Raises: EventError: data that is not of the schema."""


_LEFT: Final = threading.local()
"""`steps`: how many more keywords this thread may look at in the check under way."""


class _TooManyStepsError(Exception):
    """The check looks at more keywords than it may."""


class Schema:
    """A schema, ready to check data.

    A `$ref` leads to a place in the same document, or to one of `others`, which are documents by the names that refer to
    them: nothing is fetched. Numbers are compared exactly. A `pattern` is given up after 20 ms of a text, which then does
    not have it.
    """

    def __init__(self, document: Any, *, called: str = "", others: Mapping[str, Any] | None = None) -> None:
        """Raises: ValueError: the document is no schema, in words for its author that begin with `called`."""
        try:
            self._validator = _validator(document, others or {})
        except ValueError as error:
            raise ValueError(f"{called}{error}") from None

    def check(self, data: Any, *, steps: int = sys.maxsize) -> None:
        """`steps` bounds the keywords that are looked at: a schema of a few lines can refer to itself a billion times over.

        Raises: EventError, which names the place and the keyword, and no value.
        """
        _LEFT.steps = steps
        try:
            error = next(self._validator.iter_errors(data), None)
        except RecursionError:
            raise EventError(Reason.SCHEMA, "the data are nested too deep for the schema") from None
        except _TooManyStepsError:
            raise EventError(Reason.SCHEMA, f"the schema looks at the data more than {steps} times") from None
        if error is not None:
            raise EventError(Reason.SCHEMA, _said_of(error))


class JsonSchema(Schema):
    """A schema of a file."""

    def __init__(self, path: Path) -> None:
        """Raises: ValueError: there is no schema in the file, in words for its author."""
        super().__init__(_document(path), called=f"{path}")
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonSchema) and self._validator.schema == other._validator.schema

    def __hash__(self) -> int:
        return hash(self.path)


def _document(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(text) > MAX_SCHEMA:
        raise ValueError(f"{path} has {len(text)} bytes, a schema has {MAX_SCHEMA} at most")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error.msg} at line {error.lineno}") from None


def _validator(document: Any, others: Mapping[str, Any]) -> Any:
    """Raises: ValueError."""
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    if not isinstance(document, dict | bool):
        raise ValueError(" is no JSON Schema: it is an object")
    library: Any = validators
    kind = library.validator_for(document, default=Draft202012Validator)
    for each in (document, *others.values()):
        try:
            kind.check_schema(each)
        except (SchemaError, RecursionError) as error:
            place = error.json_path if isinstance(error, SchemaError) else "$"
            raise ValueError(f" is no JSON Schema: see {place}") from None
    registry, resource = _resources(document, others)
    for reference in _references([document, *others.values()]):
        if not reference.startswith("#") and reference.partition("#")[0] not in registry:
            raise ValueError(": $ref leads out of the file, and nothing is fetched: put what it means into $defs")
    if resource is not None:
        resolver = registry.resolver_with_root(resource)
        for reference in _references(document):
            try:
                resolver.lookup(reference)
            except Unresolvable:
                raise ValueError(f": $ref {reference[:_LONGEST_PLACE]} leads nowhere") from None
    own = {"pattern": _pattern, "multipleOf": _multiple_of, "uniqueItems": _unique_items}
    counted = {name: _counted(keyword) for name, keyword in (kind.VALIDATORS | own).items()}
    return library.extend(kind, counted)(document, registry=registry)


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    """The keyword, a step each time."""

    def look(*arguments: Any) -> Any:
        _LEFT.steps -= 1
        if _LEFT.steps < 0:
            raise _TooManyStepsError
        return keyword(*arguments)

    return look


def _resources(document: Any, others: Mapping[str, Any]) -> tuple[Any, Any]:
    """What a `$ref` may lead to: `others` by their names, also where a name is relative to the `$id` of the document."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    if not document:
        return Registry(), None
    root = Resource.from_contents(document, default_specification=DRAFT202012)
    base = root.id() or ""
    made = [
        (name, Resource.from_contents(each, default_specification=root._specification)) for name, each in others.items()
    ]
    named = [(address, each) for name, each in made for address in {name, urljoin(base, name), each.id() or name}]
    return Registry().with_resources(named), root


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, below in value.items():
            if name == "$ref" and isinstance(below, str):
                yield below
            elif name not in ("const", "enum", "examples", "default"):
                yield from _references(below)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _said_of(error: Any) -> str:
    place = "data" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error.absolute_path)
    missing = ""
    if error.validator == "required" and isinstance(error.instance, dict):
        names = [name for name in error.validator_value if name not in error.instance]
        missing = f": {', '.join(names)[:_LONGEST_PLACE]} is missing"
    return f"{place[:_LONGEST_PLACE]} is against {error.validator} of the schema{missing}"


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    from bridge.decode.pattern import PatternTimeoutError, compile_search

    if isinstance(instance, str):
        try:
            is_found = compile_search(pattern)(instance)
        except PatternTimeoutError:
            is_found = False
        if not is_found:
            yield ValidationError("a text does not have the pattern")


def _multiple_of(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, int | float | Decimal) and not isinstance(instance, bool):
        number, by = (Decimal(str(each)) for each in (instance, divisor))
        if number.is_finite() and number and number.adjusted() - by.adjusted() < _DIGITS and number % by:
            yield ValidationError("a number is no multiple")


_DIGITS: Final = 28
"""Digits of a quotient that Python's decimals can tell; no sender means a number with more of them to be a multiple."""


def _unique_items(validator: Any, is_asked: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """By a set: the library compares each with each where they cannot be sorted."""
    from jsonschema.exceptions import ValidationError

    if is_asked is True and isinstance(instance, list):
        seen: set[Any] = set()
        for item in instance:
            key = _comparable(item)
            if key in seen:
                yield ValidationError("an item is there twice")
                return
            seen.add(key)


def _comparable(value: Any) -> Any:
    """Equal for values that are equal in JSON: true is not 1, and 1.0 is."""
    match value:
        case bool():
            return ("bool", value)
        case dict():
            return frozenset((name, _comparable(below)) for name, below in value.items())
        case list():
            return tuple(_comparable(each) for each in value)
        case _:
            return value
