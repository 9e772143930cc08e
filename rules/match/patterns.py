"""`match`: a pattern of an event's attributes, kept as a tree and compiled once.

What a pattern says of a value:

    open                      equal; text equals text only, and true is not 1
    [open, held]              one of these: a list is OR
    {state: open, by: ann}    an object with these fields: keys are AND
    {gte: 100, lt: 500}       all of these operators: see `rules.models.Operators`
    {ignore_case: acme}       equal but for case

A field that is missing matches nothing but `exists: false`. `tree` says how arrays and errors are taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from rules import models
from rules.advice.foreign import operator_cure
from rules.conditions import Condition
from rules.errors import TypeClashError
from rules.event import MISSING, Event
from rules.explain import FailedCondition, Trail
from rules.expressions import EVENT_NAMES
from rules.match.clauses import Asked, Clause, NoneOf, Path, all_asked
from rules.match.doubts import own_operator
from rules.match.logic import all_of, single_or_all
from rules.match.reading import read_pattern
from rules.match.tree import Fields, Leaf, Pattern, Required, Shape, first_failed, test_of
from rules.node import Node
from rules.problems import Problems

__all__ = ["MATCH_ALL", "EventTest", "Match", "Path", "compile_match"]

_ATTRIBUTES = models.keys_of(models.Match)

EventTest = Callable[[Any, Event], bool]
"""Whether, with the constants of a `match`, an event matches. Raises: TypeClashError."""


@dataclass(frozen=True, slots=True)
class Match:
    """A rule's `match`: a pattern for each attribute named, all of which have to match."""

    attributes: tuple[tuple[str, Pattern], ...] = ()
    shaped: EventTest = field(init=False, compare=False, repr=False)
    """The test of the shape of these patterns, which is given their constants with each event."""
    constants: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shaped", _test_of(tuple((name, pattern.shape) for name, pattern in self.attributes)))
        object.__setattr__(self, "constants", single_or_all([pattern.constants for _, pattern in self.attributes]))

    def test(self, event: Event) -> bool:
        """Whether an event matches. Raises: TypeClashError."""
        return self.shaped(self.constants, event)

    def without(self, clause: Clause) -> "Match":
        """What is left to ask of an event whose single value meets a clause of these patterns.

        A single value is one with no array on the way to it, and none itself.
        """
        if any(isinstance(atom, NoneOf) for atom in clause.atoms):  # any value at all is found for it
            return self
        left = [(name, pattern.without(clause, (name,))) for name, pattern in self.attributes]
        return Match(tuple((name, pattern) for name, pattern in left if pattern is not None))

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


@lru_cache(maxsize=4096)
def _test_of(shapes: tuple[tuple[str, Shape], ...]) -> EventTest:
    if [name for name, _ in shapes] == ["data"]:
        return _test_of_data(shapes[0][1])
    tests = [(EVENT_NAMES[name], test_of(shape)) for name, shape in shapes]

    def test(constants: Any, event: Event) -> bool:
        all_constants = [constants] if len(tests) == 1 else constants
        try:
            for (read, test_attribute), own in zip(tests, all_constants, strict=True):
                value = read(event)
                if not test_attribute(own, MISSING if value is None or value == "" else value):
                    return False
        except TypeClashError:  # one of the others may say no
            return all_of(
                (test_attribute, own, _or_missing(read(event)))
                for (read, test_attribute), own in zip(tests, all_constants, strict=True)
            )
        return True

    return test


def _test_of_data(shape: Shape) -> EventTest:
    test = test_of(shape)

    def test_data(constants: Any, event: Event) -> bool:
        data = event.data
        return test(constants, data if type(data) is dict else _or_missing(data))

    if shape[0] is not Fields or len(shape) != 1 + 1:
        return test_data
    [(name, inner)] = shape[1:]
    test_inner = test_of(inner)

    def test_field(constants: Any, event: Event) -> bool:
        data = event.data
        if type(data) is dict:
            return test_inner(constants, data.get(name, MISSING))
        return test_data(constants, event)

    return test_field


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
