"""Mutants of a configuration: each is one small change in a rule or in the defaults, made in the tree of its YAML."""

import copy
import re
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]

_OPERATORS = {"gte": "gt", "gt": "gte", "lte": "lt", "lt": "lte", "prefix": "suffix", "suffix": "prefix"}
_IN_WORDS = {
    " >= ": " > ",
    " > ": " >= ",
    " <= ": " < ",
    " < ": " <= ",
    " == ": " != ",
    " and ": " or ",
    " or ": " and ",
}
_IN_TAGS = {" && ": " || ", " || ": " && ", "&& ": "&& !"}


def mutants(configuration: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with what was changed, in words; none is the configuration itself."""
    for place, changed, what in _changes(configuration.get("defaults", {}), ()):
        yield f"defaults: {what}", _with(configuration, ("defaults", *place), changed)
    for index, rule in enumerate(configuration["rules"]):
        yield f"{rule['name']}: removed", _with(configuration, ("rules", index), None)
        for place, changed, what in _changes(rule, ()):
            yield f"{rule['name']}: {what}", _with(configuration, ("rules", index, *place), changed)


def _changes(value: Any, place: Place) -> Iterator[tuple[Place, Any, str]]:
    """Place, the value to be there (None: nothing), and what it is."""
    name = ".".join(map(str, place))
    match value:
        case dict():
            for key, inner in value.items():
                if place and place[0] == "match" and key in _OPERATORS:
                    yield place, {_OPERATORS[key]: inner}, f"{name}: {key} becomes {_OPERATORS[key]}"
                if key not in ("name", "to", "with"):
                    yield (*place, key), None, f"{name}.{key} removed"
                if key != "name":
                    yield from _changes(inner, (*place, key))
        case list():
            for index, inner in enumerate(value):
                if len(value) > 1:
                    yield (*place, index), None, f"{name}[{index}] removed"
                yield from _changes(inner, (*place, index))
        case bool():
            yield place, not value, f"{name} turned"
        case int() | float():
            for number in (value + 1, value - 1):
                yield place, number, f"{name}: {value} becomes {number}"
        case str():
            for text in _other_texts(value, place):
                yield place, text, f"{name}: {value!r} becomes {text!r}"


def _other_texts(text: str, place: Place) -> Iterator[str]:
    """Texts that are a small change away, and are read by the language."""
    if place[0] == "source":
        return
    swaps = _IN_WORDS if place[0] == "when" else _IN_TAGS if "to" in place else {}
    for old, new in swaps.items():
        if old in text:
            yield text.replace(old, new, 1)
    for number in re.finditer(r"\d+", text):
        for other in (int(number[0]) + 1, int(number[0]) - 1):
            yield text[: number.start()] + str(other) + text[number.end() :]
    for path in re.finditer(r"\bdata\.(\w+)", text):
        yield text[: path.end()] + "X" + text[path.end() :]
    for filter_ in re.finditer(r" \| \w+(\([^)]*\))?", text):
        yield text[: filter_.start()] + text[filter_.end() :]
    if place[0] != "when":
        yield f"{text}x" if "{{" not in text else f"x{text}"


def _with(configuration: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    mutant = copy.deepcopy(configuration)
    holder: Any = mutant
    for key in place[:-1]:
        holder = holder[key]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return mutant
