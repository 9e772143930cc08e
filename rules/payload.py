"""What goes to a push service as it is: a frozen tree that an event fills, and that says which part it cannot fill."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rules.errors import RenderError
from rules.event import Event
from rules.explain import FailedCondition
from rules.expressions import Expression
from rules.numbers import is_number
from rules.render import MAX_TEXT, Text
from rules.text import json_of, text_of


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a JSON payload."""

    def fill(self, event: Event) -> Any:
        """What `json_of` takes, with an event's values. Raises: RenderError."""
        raise NotImplementedError

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill, None if it fills all; `key` is the path of this part."""
        return None


@dataclass(frozen=True, slots=True)
class Constant(Part):
    """A part without placeholders, as the JSON that it is."""

    json: bytes

    def fill(self, event: Event) -> orjson.Fragment:
        return orjson.Fragment(self.json)


@dataclass(frozen=True, slots=True)
class Words(Part):
    """A text with placeholders, which stays a text."""

    text: Text

    def __str__(self) -> str:
        return str(self.text)

    def fill(self, event: Event) -> Any:
        return self.text.render(event)

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        return self.text.explain(event, key)


@dataclass(frozen=True, slots=True)
class Value(Words):
    """A text that is one placeholder and nothing else: the value keeps its type. The text spells it as JSON."""

    def fill(self, event: Event) -> Any:
        return orjson.Fragment(self.text.render(event))


@dataclass(frozen=True, slots=True)
class Object(Part):
    """An object, some of whose entries have placeholders."""

    entries: tuple[tuple[str, Part], ...]

    def fill(self, event: Event) -> Any:
        return {name: part.fill(event) for name, part in self.entries}

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        explained = (part.explain(event, f"{key}.{name}") for name, part in self.entries)
        return next((failed for failed in explained if failed is not None), None)


@dataclass(frozen=True, slots=True)
class Array(Part):
    """A list, some of whose items have placeholders."""

    items: tuple[Part, ...]

    def fill(self, event: Event) -> Any:
        return [part.fill(event) for part in self.items]

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        explained = (part.explain(event, f"{key}[{index}]") for index, part in enumerate(self.items))
        return next((failed for failed in explained if failed is not None), None)


def part_of_text(text: Text, *, stays_text: bool) -> Part:
    """The part that a text with placeholders is; `stays_text` where the service takes no other type."""
    match text.pieces:
        case (Expression(),) if not stays_text:
            return Value(text.spelled_by(_json_spelled))
    return Words(text)


def frozen(tree: Any) -> Part:
    """The part that a JSON value is, whose texts with placeholders are parts already. Raises: RenderError."""
    match tree:
        case Part():
            return tree
        case Mapping():
            entries = tuple((name, frozen(entry)) for name, entry in tree.items())
            return Constant(json_of(tree)) if _all_constant(part for _, part in entries) else Object(entries)
        case list():
            items = tuple(map(frozen, tree))
            return Constant(json_of(tree)) if _all_constant(items) else Array(items)
    return Constant(json_of(tree))


def _all_constant(parts: Any) -> bool:
    return all(isinstance(part, Constant) for part in parts)


def _json_spelled(value: Any) -> str:
    return text_of(value) if is_number(value) else json_of(value).decode()


@dataclass(frozen=True, slots=True)
class JsonPayload:
    """A payload in JSON."""

    root: Part

    def fill(self, event: Event) -> bytes:
        """The payload with an event's values. Raises: RenderError."""
        if isinstance(self.root, Constant):
            return self.root.json
        return _bounded(json_of(self.root.fill(event)))

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill; `key` is the path of the payload."""
        return self.root.explain(event, key)


@dataclass(frozen=True, slots=True)
class TextPayload:
    """A payload in XML, or of another kind that nothing is known of; its text spells values so that they stay values."""

    text: Text

    def fill(self, event: Event) -> bytes:
        """The payload with an event's values. Raises: RenderError."""
        return _bounded(self.text.render(event).encode())

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill; `key` is the path of the payload."""
        return self.text.explain(event, key)


Payload = JsonPayload | TextPayload


def _bounded(payload: bytes) -> bytes:
    if len(payload) > MAX_TEXT:
        raise RenderError(f"a payload of {len(payload)} bytes is too large, {MAX_TEXT} are allowed")
    return payload
