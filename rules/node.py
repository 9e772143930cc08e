"""A value of the configuration that knows its place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def moved(self, columns: int) -> "Mark":
        """The place `columns` to the right."""
        return Mark(self.file, self.line, self.column + columns)


class RuleNodes:
    """The rules as written, each made when it is asked for: all of them together would take more memory than they do
    compiled. Asked twice, a rule is made twice, and its complaints are the same.
    """

    def __init__(self, makers: Sequence[Callable[[], "Node"]]) -> None:
        self._makers = makers

    def __len__(self) -> int:
        return len(self._makers)

    def __getitem__(self, index: int) -> "Node":
        return self._makers[index]()

    def __iter__(self) -> Iterator["Node"]:
        return (make() for make in self._makers)

    def changed(self, change: "Callable[[Node], Node]") -> "RuleNodes":
        """The rules with each replaced by what `change` makes of it, when it is asked for."""
        return RuleNodes([partial(_made, make, change) for make in self._makers])

    def __add__(self, more: "RuleNodes") -> "RuleNodes":
        return RuleNodes([*self._makers, *more._makers])


def _made(make: Callable[[], "Node"], change: Callable[["Node"], "Node"]) -> "Node":
    return change(make())


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of the document. `key` is its path (`rules[2].push.to`), `mark` its place, `key_mark` that of its key.

    `text` is a scalar's text, of any YAML type; `written` the same before anything was filled in, which is
    what a complaint may quote.
    """

    key: str
    mark: Mark
    key_mark: Mark
    value: "Scalar | list[Node] | dict[str, Node] | RuleNodes" = field(repr=False)
    text: str = field(default="", repr=False)
    written: str = ""
    in_line: bool = False
    """Whether `written` stands in the file character by character, so that a column in it is a column of the file."""
    is_quoted: bool = False

    def plain(self) -> Any:
        """The value without marks; keys that were left empty are left out, as if they were not written."""
        match self.value:
            case dict() as entries:
                return {key: node.plain() for key, node in entries.items() if node.value is not None}
            case (list() | RuleNodes()) as items:
                return [node.plain() for node in items]
            case scalar:
                return scalar

    def at(self, column: int) -> Mark:
        """The place of a column of the text; the start of the value where lines are folded or escaped."""
        return self.mark.moved(column - 1) if self.in_line else self.mark

    def find(self, path: Iterable[str | int]) -> "Node":
        """The node at `path`, or the last one on the way that exists."""
        node = self
        for part in path:
            match node.value:
                case dict() as entries if part in entries:
                    node = entries[str(part)]
                case (list() | RuleNodes()) as items if isinstance(part, int) and 0 <= part < len(items):
                    node = items[part]
                case _:
                    break
        return node
