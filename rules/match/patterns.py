"""`match`: a pattern of an event's attributes, kept as a tree and compiled once.

What a pattern says of a value:

    open                      equal; text equals text only, and true is not 1
    [open, held]              one of these: a list is OR
    {state: open, by: ann}    an object with these fields: keys are AND
    {gte: 100, lt: 500}       all of these operators: see `rules.models.Operators`
    {ignore_case: acme}       equal but for case

A field that is missing matches nothing but `exists: false`. `tree` says how arrays and errors are taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rules import models
from rules.advice.foreign import operator_cure
from rules.conditions import Condition
from rules.event import MISSING, Event
from rules.explain import FailedCondition, Trail
from rules.expressions import EVENT_NAMES
from rules.match.clauses import Asked, Path, all_asked
from rules.match.doubts import own_operator
from rules.match.reading import read_pattern
from rules.match.tree import Leaf, Pattern, Required, all_of, first_failed
from rules.node import Node
from rules.problems import Problems

__all__ = ["MATCH_ALL", "Match", "Path", "compile_match"]

_ATTRIBUTES = models.keys_of(models.Match)


@dataclass(frozen=True, slots=True)
class Match:
    """A rule's `match`: a pattern for each attribute named, all of which have to match."""

    attributes: tuple[tuple[str, Pattern], ...] = ()

    def test(self, event: Event) -> bool:
        """Whether an event matches. Raises: TypeClashError."""
        return all_of((pattern.test, _or_missing(EVENT_NAMES[name](event))) for name, pattern in self.attributes)

    def required(self) -> Iterator[Required]:
        """Texts of which an event needs one at each path: what an index can use."""
        for name, pattern in self.attributes:
            yield from pattern.required((name,))

    def asked(self) -> Asked:
        """What an index can use of the patterns."""
        return all_asked([pattern.asked((name,)) for name, pattern in self.attributes])

    def conditions(self, key: str) -> Iterator[Condition]:
        """The single conditions, in order; `key` is the path of this `match`."""
        for name, pattern in self.attributes:
            for leaf in pattern.leaves(Trail(f"{key}.{name}", name), ()):
                yield Condition(leaf.place, str(leaf.pattern), partial(_leaf_test, name, leaf), leaf.choice)

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first condition that an event does not meet, None if it meets all; `key` is the path of this `match`.

        Where the answer is no, that is the first no; an error counts where no condition says no.
        """
        explained = [
            pattern.explain(_or_missing(EVENT_NAMES[name](event)), Trail(f"{key}.{name}", name))
            for name, pattern in self.attributes
        ]
        return first_failed(explained, is_error=False) or first_failed(explained, is_error=True)


MATCH_ALL = Match()
"""A rule without `match`."""


def compile_match(node: Node, problems: Problems) -> Match:
    """Compile a rule's `match`, reporting every mistake in it."""
    if not isinstance(node.value, dict):
        hint = "a condition in words stands in `when`" if isinstance(node.value, str) else ""
        problems.add(node, "expected keys such as type and data", hint)
        return MATCH_ALL
    attributes: list[tuple[str, Pattern]] = []
    for name, entry in node.value.items():
        if name not in _ATTRIBUTES:
            _complain_of_attribute(name, entry, problems)
            continue
        if name not in ("data", "meta"):
            _check_texts(entry, problems)
        attributes.append((name, read_pattern(entry, problems)))
    return Match(tuple(attributes))


def _complain_of_attribute(name: str, entry: Node, problems: Problems) -> None:
    hint = operator_cure(name) or own_operator(name)
    if hint:
        problems.add(entry, "no attribute of an event", hint, mark=entry.key_mark)
    else:
        problems.unknown_key(name, entry, _ATTRIBUTES)


def _check_texts(node: Node, problems: Problems) -> None:
    """An attribute of an event is text, which no number and no boolean equals."""
    for item in node.value if isinstance(node.value, list) else [node]:
        if isinstance(item.value, int | float):
            problems.add(item, "this attribute is text, and this never equals it", f'write "{item.text}"')


def _leaf_test(name: str, leaf: Leaf, event: Event) -> bool:
    return leaf.test(_or_missing(EVENT_NAMES[name](event)))


def _or_missing(attribute: Any) -> Any:
    return MISSING if attribute is None or attribute == "" else attribute
