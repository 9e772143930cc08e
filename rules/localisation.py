"""Texts for one reader: `money`, `date` and the like write as a language and a time zone do, unless told otherwise."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from jinja2 import nodes

from rules import localised

_TAKES: Final = ("locale", "timezone")


@dataclass(frozen=True, slots=True)
class Localisation:
    """A language as CLDR names it (`de-CH`). Times are in the zone of who reads (`localised.reading_in`)."""

    locale: str

    def give(self, tree: nodes.Node) -> None:
        """Give the language and the reader's zone to the filters of an expression that take them and name none."""
        for node in (tree, *tree.find_all(nodes.Filter)):
            if isinstance(node, nodes.Filter) and node.name in localised.FILTERS:
                self._give(node)

    def _give(self, node: nodes.Filter) -> None:
        named = {str(keyword.key) for keyword in node.kwargs}
        values = {"locale": self.locale, "timezone": localised.READER}
        for name, position in _places(node.name).items():
            if name not in named and len(node.args) <= position:
                value = nodes.Const(values[name], lineno=node.lineno)
                node.kwargs.append(nodes.Keyword(name, value, lineno=node.lineno))  # type: ignore[arg-type]  # Jinja reads both


@cache
def _places(filter_: str) -> Mapping[str, int]:
    """The arguments of a filter that say language and zone, each with its place behind the value."""
    names = list(inspect.signature(localised.FILTERS[filter_]).parameters)
    return {name: names.index(name) - 1 for name in _TAKES if name in names}


def is_timed(tree_text: str) -> bool:
    """Whether an expression may write a time, which another zone writes otherwise."""
    return "date" in tree_text
