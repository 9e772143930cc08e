"""Reading values off nodes: each function gives the value, or None after complaining."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel

from hub.spelling import did_you_mean
from rules.errors import ExpressionError
from rules.models import TEMPLATE, keys_of
from rules.node import Node
from rules.problems import NOT_YET, Problems
from rules.render import Text, compile_text
from rules.units import nearest_duration

ChoiceT = TypeVar("ChoiceT")

_LONGEST = timedelta(days=36_500)


def fields(
    node: Node,
    problems: Problems,
    model: type[BaseModel],
    later: Collection[str] = (),
    cures: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Node]:
    """The entries of an object that has only the keys of `model`; keys of a `later` version are complained of as such.

    `cures` say of unknown keys what was likely meant, where it is not the one that is spelt alike. An entry
    left empty is as if not written.
    """
    known = keys_of(model)
    if not isinstance(node.value, dict):
        if node.value is not None:
            problems.add(node, f"expected keys such as {', '.join(known[:3])}")
        return {}
    for name, entry in node.value.items():
        if name not in known:
            problems.unknown_key(name, entry, known, later, cure=cures.get(name.casefold(), ""))
    return {name: entry for name, entry in node.value.items() if name in known and entry.value is not None}


Read = Callable[[Node, Problems, Callable[[str], float]], Any]
"""Reads a value of one type; the function reads durations."""


def values(
    model: type[BaseModel], entries: Mapping[str, Node], problems: Problems, seconds_in: Callable[[str], float]
) -> dict[str, Any]:
    """The values of the entries whose type says how each is read, None for one that is a mistake.

    What depends on the rest of the configuration, such as the name of a hub, is left to the caller.
    """
    return {key: read(entries[key], problems, seconds_in) for key, read in _readers(model) if key in entries}


@cache
def _readers(model: type[BaseModel]) -> Sequence[tuple[str, Read]]:
    """By key; made once for each model, as ten thousand rules are read by them."""
    fields_ = zip(keys_of(model), model.model_fields.values(), strict=True)
    readers = ((key, _reader(field.annotation)) for key, field in fields_)
    return [(key, read) for key, read in readers if read is not None]


def _reader(annotation: Any) -> Read | None:
    (kind, *others) = [each for each in get_args(annotation) if each is not type(None)] or [annotation]
    if get_origin(annotation) is Annotated:
        kind, others = annotation, []
    if others:
        return None
    if get_origin(kind) is Annotated and TEMPLATE in get_args(kind):
        return lambda node, problems, _: template(node, problems)
    if kind is bool:
        return lambda node, problems, _: flag(node, problems)
    if kind is timedelta:
        return span
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = {str(each.value): each for each in kind}
        return lambda node, problems, _: choice(node, choices, problems)
    return None


def word(node: Node, problems: Problems) -> str | None:
    """A text; a number or boolean is taken as it was written."""
    if isinstance(node.value, str | int | float):
        return node.text
    problems.add(node, "expected a text", _text_cure(node))
    return None


def _text_cure(node: Node) -> str:
    """`[{{ data.id }}]` without quotes is a list, and `a: b` on a line of its own an object."""
    match node.value:
        case [Node(value=str() as only)] if "{{" in only:
            return f'write "{only}"'
    return ""


def words(node: Node, problems: Problems) -> list[Node]:
    """The nodes of a list of texts, or the one of a single text. An empty list is a mistake."""
    if node.value == []:
        problems.add(node, "is empty", "leave the key out for all of them")
    items = node.value if isinstance(node.value, list) else [node]
    return [item for item in items if word(item, problems) is not None]


def flag(node: Node, problems: Problems) -> bool | None:
    """true or false."""
    if isinstance(node.value, bool):
        return node.value
    meant = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
    cure = meant.get(node.text.casefold(), "")
    problems.add(node, "expected true or false", f"write {cure}, without quotes" if cure else "")
    return None


def choice(
    node: Node, choices: Mapping[str, ChoiceT], problems: Problems, later: Collection[str] = ()
) -> ChoiceT | None:
    """What one of the words in `choices` stands for; words of a `later` version are complained of as such."""
    text = word(node, problems)
    if text is None or text in choices:
        return None if text is None else choices[text]
    if text in later:
        problems.add(node, f"{node.written}: {NOT_YET}")
    else:
        known = ", ".join(choices) or "nothing"
        problems.add(node, f"{node.written!r} is not one of: {known}", did_you_mean(text, choices, all_if_few=False))
    return None


def complain_of_name(node: Node, known: Collection[str], section: str, problems: Problems, *, more: str = "") -> None:
    """Complain that nothing in a section of the configuration has the name that a rule gives; `more` is said behind it."""
    if known:
        message = f"{node.written!r} is not one of: {', '.join(known)}"
        hint = did_you_mean(node.text, known, all_if_few=False)
    else:
        message = f"there is no {node.written!r}: nothing stands under {section}"
        hint = f"define it: {section}: {{ {node.written}: … }}"
    problems.add(node, message, "; ".join(filter(None, (hint, more))))


def span(node: Node, problems: Problems, seconds_in: Callable[[str], float]) -> timedelta | None:
    """A duration such as 30s or 6h, of at most a hundred years; a number alone counts seconds.

    `seconds_in` reads a text with units and raises ValueError for other text.
    """
    is_number = re.fullmatch(r"\d{1,12}(\.\d+)?", node.text, re.ASCII)
    try:
        seconds = seconds_in(f"{node.text}s" if is_number else node.text)
    except ValueError:
        mistake = "not a duration; write a number and its unit, such as 30s, 10m, 1h30m or 7d"
        nearest = nearest_duration(node.text)
    else:
        if seconds <= _LONGEST.total_seconds():
            return timedelta(seconds=seconds)
        mistake, nearest = "longer than a hundred years", ""
    problems.add(node, mistake, f"write {nearest}" if nearest else "")
    return None


def template(node: Node, problems: Problems) -> Text | None:
    """A text that may have placeholders."""
    text = word(node, problems)
    if text is None:
        return None
    try:
        return compile_text(text).placed(node)
    except ExpressionError as error:
        complain(error, node, problems)
        return None


def complain(error: ExpressionError, node: Node, problems: Problems) -> None:
    """Report what is wrong with the text of `node`, at its column where that can be known."""
    problems.add(node, str(error), error.hint, mark=node.at(error.column))


def has_later(node: Node, keys: Iterable[str]) -> bool:
    """Whether an object has one of the keys of a later version, each of which has a complaint of its own."""
    return isinstance(node.value, dict) and not node.value.keys().isdisjoint(keys)
