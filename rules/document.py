"""A configuration as written: YAML read into nodes that know their place, so that every complaint can name it.

The YAML is that of version 1.2's core schema: `on`, `no` and `22:00` are text, as they look. `${env:NAME}`,
`${env:NAME:-default}` and `${file:/path}` are filled in while reading (`$${` stands for `${`); what a file held is
never shown in a complaint.
"""

import os
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from rules.node import Mark, Node, Scalar
from rules.problems import Problems


def load_document(path: Path, problems: Problems, environ: Mapping[str, str] = os.environ) -> Node | None:
    """Read one file, or all `*.yaml` of a directory merged by key; None when nothing could be read.

    In a directory the top-level sections of the files are joined: their entries by key, `rules` one after the other in
    the order of the file names. Whatever is said twice is a problem, but for `version`.
    """
    files = files_of(path)
    if not files:
        problems.add_at(Mark(str(path), 1, 1), "", "no *.yaml file in this directory")
    documents = [node for file in files if (node := _Reader(file, problems, environ).read()) is not None]
    return _merged(documents, problems) if documents else None


def files_of(path: Path) -> list[Path]:
    """The files that a configuration consists of, in the order in which they are read."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.glob("*.yaml") if not file.name.startswith("."))


def _merged(documents: list[Node], problems: Problems) -> Node:
    merged: dict[str, Node] = {}
    for document in documents:
        assert isinstance(document.value, dict)
        for section, node in document.value.items():
            merged[section] = _joined(merged[section], node, problems) if section in merged else node
    first = documents[0]
    return Node(key="", mark=first.mark, key_mark=first.key_mark, value=merged)


def _joined(first: Node, second: Node, problems: Problems) -> Node:
    match first.value, second.value:
        case dict() as entries, dict() as more:
            for name in entries.keys() & more.keys():
                _said_twice(entries[name], more[name], problems)
            joined: dict[str, Node] | list[Node] = more | entries
        case list() as items, list() as more_items if first.key == "rules":
            joined = items + more_items
        case None, _:
            return second
        case _:
            if second.value is not None and (first.key, first.value) != ("version", second.value):
                _said_twice(first, second, problems)
            return first
    return Node(key=first.key, mark=first.mark, key_mark=first.key_mark, value=joined)


def _said_twice(first: Node, second: Node, problems: Problems) -> None:
    place = f"{first.key_mark.file}:{first.key_mark.line}"
    problems.add(second, "duplicate key", f"first at {place}", mark=second.key_mark)


class _Reader:
    """One file into nodes."""

    def __init__(self, file: Path, problems: Problems, environ: Mapping[str, str]) -> None:
        self._file = file
        self._problems = problems
        self._environ = environ
        self._open: set[int] = set()
        self._values_left = 0

    def read(self) -> Node | None:
        """The root of the document: always a mapping."""
        start = Mark(str(self._file), 1, 1)
        try:
            text = self._file.read_text(encoding="utf-8-sig")
            loader = _Loader(text)
            loader.yaml_implicit_resolvers = {}  # every scalar arrives as text: _scalar decides what it is
            self._values_left = max(len(text), _MAX_VALUES)
            return self._root(loader.get_single_node(), start)
        except OSError as error:
            self._problems.add_at(start, "", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.add_at(start, "", "is not UTF-8")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self._mark(mark) if mark else start
            message = ", ".join(part for part in (error.problem, error.context) if part)
            self._problems.add_at(where, "", f"not YAML: {message}")
        except yaml.YAMLError:
            self._problems.add_at(start, "", "not YAML: a character that YAML does not allow")
        except RecursionError:
            self._problems.add_at(start, "", "nested too deep")
        except _TooManyValuesError:
            self._problems.add_at(start, "", "too many values: aliases of aliases multiply")
        return None

    def _root(self, composed: yaml.Node | None, start: Mark) -> Node | None:
        if composed is None:
            return Node(key="", mark=start, key_mark=start, value={})
        if isinstance(composed, yaml.MappingNode):
            return self._node(composed, "", start)
        self._problems.add_at(self._mark(composed.start_mark), "", "expected keys such as sources and rules")
        return None

    def _node(self, node: yaml.Node, key: str, key_mark: Mark) -> Node:
        self._values_left -= 1
        if self._values_left < 0:
            raise _TooManyValuesError
        mark = self._mark(node.start_mark)
        if not node.tag.startswith(_OWN_TAGS):
            self._problems.add_at(mark, key, f"YAML tags such as {node.tag} have no meaning here")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key, mark, key_mark)
        if id(node) in self._open:
            self._problems.add_at(key_mark, key, "an alias may not stand inside of what it stands for")
            return Node(key=key, mark=mark, key_mark=key_mark, value=None)
        self._open.add(id(node))
        value: list[Node] | dict[str, Node]
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, key)
        else:
            value = [
                self._node(item, f"{key}[{index}]", self._mark(item.start_mark))
                for index, item in enumerate(node.value)
            ]
        self._open.discard(id(node))
        return Node(key=key, mark=mark, key_mark=key_mark, value=value)

    def _mapping(self, node: yaml.MappingNode, parent: str) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in node.value:
            mark = self._mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add_at(mark, parent, "a key has to be text")
                continue
            name = str(key_node.value)
            key = f"{parent}.{name}" if parent else name
            entry = self._node(value_node, key, mark)
            if name in entries:
                _said_twice(entries[name], entry, self._problems)
            else:
                entries[name] = entry
        return entries

    def _scalar(self, node: yaml.ScalarNode, key: str, mark: Mark, key_mark: Mark) -> Node:
        written = str(node.value)
        one_line = node.start_mark.line == node.end_mark.line
        quotes = 1 if node.style else 0  # a plain scalar's style is None or empty, as libyaml is there or not
        in_line = one_line and node.end_mark.column - node.start_mark.column == len(written) + 2 * quotes
        start = mark.moved(quotes) if in_line else mark
        text = _PLACEHOLDER.sub(lambda found: self._filled(found, key, start, written), written)
        value = text if node.style else _plain_value(text, substituted=text != written)
        if isinstance(value, float) and not isfinite(value):
            self._problems.add_at(start, key, "a number out of range")
        return Node(
            key=key,
            mark=start,
            key_mark=key_mark,
            value=value,
            text=text,
            written=written,
            in_line=in_line and text == written,
        )

    def _filled(self, found: re.Match[str], key: str, start: Mark, written: str) -> str:
        if found[0] == "$${":
            return "${"
        place = start.moved(found.start())
        kind, name, default = found["kind"], found["name"], found["default"]
        if kind == "env" and name:
            value = self._environ.get(name)
            if value is None and default is None:
                self._problems.add_at(place, key, f"the environment variable {name} is not set")
            return value or default or ""
        if kind == "file" and name:
            return self._content(Path(name), key, place)
        self._problems.add_at(place, key, "write ${env:NAME}, ${env:NAME:-default} or ${file:/path}, and $${ for ${")
        return ""

    def _content(self, path: Path, key: str, place: Mark) -> str:
        try:
            return (self._file.parent / path).read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            self._problems.add_at(place, key, f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.add_at(place, key, f"{path} is not UTF-8")
        except ValueError:
            self._problems.add_at(place, key, "not the name of a file")
        return ""

    def _mark(self, mark: Any) -> Mark:
        return Mark(str(self._file), mark.line + 1, mark.column + 1)


class _TooManyValuesError(Exception):
    """A few lines of aliases can stand for more values than there is memory."""


_MAX_VALUES = 100_000
"""Values that aliases may make of a file; without aliases there are fewer values than characters."""

_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_OWN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?:(?P<kind>env|file):)?(?P<name>.*?)(?::-(?P<default>.*?))?\}", re.DOTALL)
_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def _plain_value(text: str, *, substituted: bool) -> Scalar:
    """What an unquoted scalar is (YAML 1.2.2, section 10.3.2).

    A substituted one is a number only if written back it is the same text: a password such as 0123 or 1e5 stays text.
    """
    if substituted and (text == "" or text in _WORDS):
        return text
    if text in _WORDS:
        return _WORDS[text]
    value: Scalar = text
    if _INTEGER.fullmatch(text) and len(text) < 40:
        value = int(text, 0) if text[1:2] in ("x", "o") else int(text)
    elif _FLOAT.fullmatch(text):
        value = float(text)
    return value if not substituted or str(value) == text else text
