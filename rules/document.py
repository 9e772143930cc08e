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
from rules.problems import Problem, Problems
from rules.yaml_cures import QUOTE_HOLE, lost_behind_hash, syntax_cure


def load_document(path: Path, problems: Problems, environ: Mapping[str, str] = os.environ) -> Node | None:
    """Read one file, or all `*.yaml` and `*.yml` of a directory merged by key; None when nothing could be read.

    In a directory the top-level sections of the files are joined: their entries by key, `rules` one after the other in
    the order of the file names. Whatever is said twice is a problem, but for `version`.
    """
    files = files_of(path)
    if not files:
        below = "sub-directories are not read" if any(path.glob("*/*.y*ml")) else ""
        problems.add_at(Mark(str(path), 1, 1), "", "no *.yaml or *.yml file in this directory", below)
    documents = [node for file in files if (node := _Reader(file, problems, environ).read()) is not None]
    return _merged(documents, problems) if documents else None


_SUFFIXES = (".yaml", ".yml")


def files_of(path: Path) -> list[Path]:
    """The files that a configuration consists of, in the order in which they are read."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))


_SAYS_NOTHING = ": nothing is taken in and nothing is sent by it"
_NOT_ON_RELOAD = "a daemon that runs by what it held does not take it"


def says_nothing(problem: Problem) -> bool:
    """Whether a problem is that its file has nothing in it."""
    return problem.message.endswith(_SAYS_NOTHING)


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
        self._lines: list[str] = []

    def read(self) -> Node | None:
        """The root of the document: always a mapping."""
        start = Mark(str(self._file), 1, 1)
        try:
            content = self._file.read_bytes()
            text = content.decode("utf-8-sig")
            self._lines = text.splitlines()
            loader = _Loader(text)
            loader.yaml_implicit_resolvers = {}  # every scalar arrives as text: _scalar decides what it is
            self._values_left = max(len(text), _MAX_VALUES)
            return self._root(loader.get_single_node(), start)
        except OSError as error:
            self._problems.add_at(start, "", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._not_utf8(content, error)
        except yaml.MarkedYAMLError as error:
            self._not_yaml(error, start)
        except yaml.YAMLError:
            self._problems.add_at(start, "", "not YAML: a character that YAML does not allow")
        except RecursionError:
            self._problems.add_at(start, "", "nested too deep")
        except _TooManyValuesError:
            self._problems.add_at(start, "", "too many values: aliases of aliases multiply")
        return None

    def _not_utf8(self, content: bytes, error: UnicodeDecodeError) -> None:
        before = content[: error.start].decode("utf-8", "replace")
        where = Mark(str(self._file), before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        self._problems.add_at(where, "", "is UTF-16" if is_utf16 else "is not UTF-8", "save the file as UTF-8")

    def _not_yaml(self, error: yaml.MarkedYAMLError, start: Mark) -> None:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.problem, error.context) if part)
        opened = error.context_mark.line if error.context_mark else None
        cure = syntax_cure(message, self._lines, mark.line, mark.column, opened) if mark else ""
        self._problems.add_at(self._mark(mark) if mark else start, "", f"not YAML: {message}", cure)

    def _root(self, composed: yaml.Node | None, start: Mark) -> Node | None:
        if composed is None or (isinstance(composed, yaml.ScalarNode) and not composed.value and not composed.style):
            kind = "has nothing but comments" if any(map(str.strip, self._lines)) else "is empty"
            self._problems.warn_at(start, "", f"this file {kind}{_SAYS_NOTHING}", _NOT_ON_RELOAD)
            return Node(key="", mark=start, key_mark=start, value={})
        if isinstance(composed, yaml.MappingNode):
            return self._node(composed, "", start)
        line = self._line(composed.start_mark)
        glued = re.match(r"\s*(\w+):(?=\S)", line) if isinstance(composed, yaml.ScalarNode) else None
        is_list = isinstance(composed, yaml.SequenceNode)
        cure = f"a space is missing behind {glued[1]}:" if glued else "begin with rules: or sources:" if is_list else ""
        self._problems.add_at(self._mark(composed.start_mark), "", "expected keys such as sources and rules", cure)
        return None

    def _node(self, node: yaml.Node, key: str, key_mark: Mark) -> Node:
        self._values_left -= 1
        if self._values_left < 0:
            raise _TooManyValuesError
        mark = self._mark(node.start_mark)
        if not node.tag.startswith(_OWN_TAGS):
            cure = _NOT_A_TAG if key.rpartition(".")[2] in ("when", "to") else ""
            self._problems.add_at(mark, key, f"YAML tags such as {node.tag} have no meaning here", cure)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key, mark, key_mark)
        if id(node) in self._open:
            self._problems.add_at(key_mark, key, "an alias may not stand inside of what it stands for")
            return Node(key=key, mark=mark, key_mark=key_mark, value=None)
        if isinstance(node, yaml.MappingNode) and self._stands_at(node.start_mark, "{{"):
            return self._unquoted_hole(node, key, mark, key_mark)
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

    def _unquoted_hole(self, node: yaml.MappingNode, key: str, mark: Mark, key_mark: Mark) -> Node:
        """`{{ data.id }}` without quotes, which YAML takes for an object in an object: said once, and read as meant."""
        self._problems.add_at(mark, key, "an object whose key is an object, as YAML reads it", QUOTE_HOLE)
        start, end = node.start_mark, node.end_mark
        text = self._line(start)[start.column : end.column] if start.line == end.line else ""
        return Node(key=key, mark=mark, key_mark=key_mark, value=text, text=text, written=text, in_line=True)

    def _stands_at(self, mark: Any, text: str) -> bool:
        return self._line(mark).startswith(text, mark.column)

    def _line(self, mark: Any) -> str:
        return self._lines[mark.line] if mark.line < len(self._lines) else ""

    def _check_comment(self, node: yaml.ScalarNode, key: str, mark: Mark) -> None:
        """Complain of an unquoted value whose rest is taken for a comment."""
        line = self._line(node.end_mark)
        if "#" in line and (lost := lost_behind_hash(line, node.end_mark.column, is_empty=not node.value)):
            message = f"everything from {lost[:40]} on is taken for a comment"
            self._problems.warn_at(mark, key, message, "put the whole text in quotes")

    def _scalar(self, node: yaml.ScalarNode, key: str, mark: Mark, key_mark: Mark) -> Node:
        written = str(node.value)
        one_line = node.start_mark.line == node.end_mark.line
        quotes = 1 if node.style else 0  # a plain scalar's style is None or empty, as libyaml is there or not
        in_line = one_line and node.end_mark.column - node.start_mark.column == len(written) + 2 * quotes
        start = mark.moved(quotes) if in_line else mark
        text = _PLACEHOLDER.sub(lambda found: self._filled(found, key, start, written), written)
        if not node.style:
            self._check_comment(node, key, start)
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
        hint = "a value of the event is {{ data.id }}, without the $" if found[0].startswith("${{") else ""
        message = "write ${env:NAME}, ${env:NAME:-default} or ${file:/path}, and $${ for ${"
        self._problems.add_at(place, key, message, hint)
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


_NOT_A_TAG = "a text that begins with ! stands in quotes; an expression of when has not instead"


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
