"""Doubts about patterns: what compiles and was likely meant otherwise, and mistakes of spelling with their cure."""

import re
from functools import lru_cache
from typing import Any

from hub.spelling import did_you_mean, flag_meant
from rules.advice.foreign import comparison_cure, folded, may_be_field, operator_cure
from rules.match.tree import number_in, scalar_of
from rules.models import OPERATORS
from rules.node import Node
from rules.numbers import is_number
from rules.problems import Problems

MISTAKABLE = ("prefix", "suffix", "between", "exists", "cidr", "ignore_case")
"""Many a field is named nearly like the others: note, call, global, late, get."""

_FOLDED_OPERATORS = {folded(operator): operator for operator in OPERATORS}
_PLACE_IN_LIST = re.compile(r"\[\d+\]")
_MATCH = re.compile(r"(?:^|\.)match\.")
_PATH = re.compile(r"\$\.?\w+(?:\.\w+)*|(?:\w+\.)+\w+|\w+(?:\.\w+)*\[[\d*]*\](?:\.\w+(?:\[[\d*]*\])?)*")
"""A path of other languages: `a.b`, `$.a`, `a[0].b`."""

_NUMBER_LIKE = re.compile(r"\s*[-+]?\d{1,3}([_,'’ ]\d{3})+(\.\d+)?\s*|\s*[-+]?\d+(\.\d+)?([eE][-+]?\d+)?\s*")


def doubt_fields(entries: dict[str, Node], problems: Problems) -> set[str]:
    """A mistyped operator, or one of another language, is a field that no event has: the rule would never fire.

    What cannot be a field (`$or`, `>=`, `equals-ignore-case`) is doubted wherever it stands; a word that could be one
    only where all the words beside it are operators too. The attributes of an event are texts: they have no fields.
    Returns the names that are doubted: what stands under them is not looked at.
    """
    doubted: set[str] = set()
    if not OPERATORS.isdisjoint(entries):
        return doubted
    meant = {name: _meant(name, entry) for name, entry in entries.items()}
    for name, hint in meant.items():
        entry = entries[name]
        if _fields_above(entry)[:1] not in (["data"], ["meta"]):
            problems.add(entry, "this attribute is text, which has no fields", hint, mark=entry.key_mark)
            doubted.add(name)
        elif hint and (all(meant.values()) or _is_no_field(name)):
            hint += "; a field of this name is asked for in `when`" if may_be_field(name) else ""
            problems.warn(entry, f"taken for a field named {name}, as no operator is", hint)
            doubted.add(name)
        elif _PATH.fullmatch(name) and _fields_above(entry)[:1] == ["data"]:
            hint = "a path is written in steps: { a: { b: … } }; a field of this name is asked for in `when`"
            problems.warn(entry, f"taken for one field named {name}", hint)
    return doubted


def _meant(name: str, entry: Node) -> str:
    """What to write instead of a word that looks like an operator; empty for one that looks like a field."""
    above = _fields_above(entry)
    inside_field = len(above) > 2 or above[:1] not in (["data"], ["meta"])
    own = own_operator(name) if inside_field or not name[:1].isalpha() else ""
    return own or operator_cure(name, inside_field=inside_field, value=entry.value) or _near_operator(name)


def own_operator(name: str) -> str:
    """A hint for an operator of ours in another spelling, such as `$gte`, `GTE` or `ignoreCase`."""
    own = _FOLDED_OPERATORS.get(folded(name))
    return "" if own is None or own == name else f"did you mean {own}?"


@lru_cache(maxsize=1024)
def _near_operator(name: str) -> str:
    return did_you_mean(name, MISTAKABLE, all_if_few=False, cutoff=0.85)


def _is_no_field(name: str) -> bool:
    """Whether a word says by its form that it is an operator: `$or`, `>=`, `anything-but`."""
    return name.startswith("$") or not any(character.isalnum() for character in name) or "-" in name


def _fields_above(entry: Node) -> list[str]:
    """The names on the way from `match` to an entry, its own among them, without operators and places in lists."""
    path = _PLACE_IN_LIST.sub("", entry.key)
    return [name for name in _MATCH.split(path, maxsplit=1)[-1].split(".") if name not in OPERATORS]


def doubt_scalar(node: Node, problems: Problems) -> None:
    """Texts that equal what they say and nothing else, where more was meant."""
    text = node.value
    if isinstance(text, str):
        if "{{" in text:
            problems.add(node, "a pattern is constant", "compare values of an event in `when`")
        elif text.lower() in ("yes", "no") and not node.is_quoted:  # on and off are the texts of many a switch
            hint = f'write {flag_meant(text)}, or "{text}" for the text'
            problems.warn(node, f"the text {text}, which no boolean equals", hint)
        elif cure := comparison_cure(text):
            problems.warn(node, "compared as a text, for equality", cure)
        elif len(text) > 1 and (text[0] == "*" or text[-1] == "*"):
            problems.warn(node, "compared as a text, for equality: * is a star", "for any text write { glob: … }")
    elif type(text) is int and _fields_above(node)[:1] in (["data"], ["meta"]) and re.match(r"[-+]?0\d", node.written):
        problems.warn(
            node, f"is the number {text}, which the text {node.written} does not equal", "quote it for the text"
        )


def check_unmixed(entries: dict[str, Node], problems: Problems) -> None:
    operators = [name for name in entries if name in OPERATORS]
    for name, entry in entries.items():
        if operators and name not in OPERATORS:
            close = own_operator(name) or operator_cure(name) or did_you_mean(name, OPERATORS, all_if_few=False)
            hint = close or f"use `when` for a field named {operators[0]}"
            problems.add(entry, f"no operator, but it stands beside {operators[0]}", hint, mark=entry.key_mark)


def doubt_bounds(entries: dict[str, Node], problems: Problems) -> None:
    """Bounds that shut each other out: one value, or one element of an array, has to keep to both."""
    for low in entries.keys() & {"gt", "gte"}:
        for high in entries.keys() & {"lt", "lte"}:
            lowest, highest = entries[low].value, entries[high].value
            hint = "either of them is a list: [ { lt: 10 }, { gt: 20 } ]"
            match lowest, highest:
                case (str(), str()):
                    is_empty = _is_empty(low, lowest, high, highest)
                case (str(), _) | (_, str()) if is_number(lowest) or is_number(highest):
                    is_empty, hint = True, "both are numbers, or both are texts"
                case _ if is_number(lowest) and is_number(highest):
                    ends = (number_in(scalar_of(entries[name]))[0] for name in (low, high))
                    is_empty = _is_empty(low, next(ends), high, next(ends))
                case _:
                    continue  # no bound: that is said where it is read
            if is_empty:
                problems.warn(entries[low], f"nothing is {low} {lowest} and {high} {highest} at once", hint)


def _is_empty(low: str, lowest: Any, high: str, highest: Any) -> bool:
    return bool(lowest > highest) or (lowest == highest and (low, high) != ("gte", "lte"))


def doubt_number(node: Node, problems: Problems) -> None:
    """A number in quotes is text, and text compares character by character: "9" is above "100"."""
    if _NUMBER_LIKE.fullmatch(node.text):
        number = re.sub(r"[\s_,'’]", "", node.text)
        problems.warn(
            node, "a text, which no number is compared with, and 9 is above 100 in text",
            f"write {number}; `types` of the source's decode makes numbers of text",
        )  # fmt: skip


def textual_cure(node: Node, item: Node) -> str:
    """EventBridge puts the case inside of the operator, we put the operator inside of the case."""
    if isinstance(item.value, dict):
        name = node.key.rpartition(".")[2].partition("[")[0]
        return f"write {{ ignore_case: {{ {name}: … }} }}" if any("ignore" in folded(key) for key in item.value) else ""
    return ""
