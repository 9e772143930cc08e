"""Explanations of rules as plain JSON, with the values of the event or with their kinds alone."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bridge.counts import how_many
from hub import exact_json
from rules.event import MISSING, Opaque
from rules.explain import Explanation, FailedCondition


def explanation_report(explanation: Explanation) -> dict[str, Any]:
    """One rule: whether it fired, else its first condition that failed with the values seen."""
    condition = explanation.condition
    seen = {} if condition is None else {path: seen_value(value) for path, value in condition.seen.items()}
    return _report(explanation, seen)


def condition_without_values(explanation: Explanation) -> dict[str, Any]:
    """As `explanation_report`, with kinds and lengths for the values."""
    condition = explanation.condition
    seen = (
        {}
        if condition is None
        else {
            path: {"missing": True} if value is MISSING else {"kind": kind_of(value)}
            for path, value in condition.seen.items()
        }
    )
    return _report(explanation, seen)


def seen_value(value: Any) -> dict[str, Any]:
    """A value that a condition saw."""
    return {"missing": True} if value is MISSING else {"value": plain(value)}


def plain(value: Any) -> Any:
    """A value of an event as JSON has it; a number that no float holds is its digits, what cannot be read is said so."""
    match value:
        case Opaque(kind):
            return f"({kind})"
        case Decimal():
            return exact_json.plain(value) if value.is_finite() else str(value)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case None | str() | bool() | int() | float():
            return value
        case bytes():
            return value.decode("utf-8", "backslashreplace")
    return str(value)


def kind_of(value: Any) -> str:
    """What a value is, in JSON's words, and how long: `text of 12 characters`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "number"
        case str():
            return f"text of {how_many(len(value), 'character')}"
        case bytes():
            return how_many(len(value), "byte")
        case Mapping():
            return f"object of {how_many(len(value), 'key')}"
        case list() | tuple():
            return f"list of {len(value)}"
        case Opaque(kind):
            return kind
    return type(value).__name__


def _report(explanation: Explanation, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rule": explanation.rule,
        "owner": explanation.owner,
        "place": str(explanation.place),
        "result": explanation.result.value,
        "condition": None if explanation.condition is None else _condition(explanation.condition, seen),
        "stopped_by": explanation.stopped_by,
    }


def _condition(condition: FailedCondition, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {"place": str(condition.place), "wanted": condition.wanted, "seen": seen, "error": condition.error}


def withheld_at(value: Any, path: Sequence[str]) -> Any:
    """A copy of a value with what is at `path` replaced by its kind; lists are passed through, each element by itself."""
    if not path:
        return f"({kind_of(value)})"
    if isinstance(value, list | tuple):
        return [withheld_at(each, path) for each in value]
    if not isinstance(value, Mapping) or path[0] not in value:
        return value
    return {**value, path[0]: withheld_at(value[path[0]], path[1:])}
