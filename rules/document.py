"""A configuration as written: YAML read into nodes that know their place, so that every complaint can name it.

The YAML is that of version 1.2's core schema: `on`, `no` and `22:00` are text, as they look. `${env:NAME}`,
`${env:NAME:-default}` and `${file:/path}` are filled in while reading (`$${` stands for `${`); what a file held is
never shown in a complaint.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path

import yaml

from rules.node import Mark, Node, RuleNodes, Scalar
from rules.problems import Problem, Problems
from rules.read_files import ReadFiles, read_bounded
from rules.yaml_cures import QUOTE_PLACEHOLDER, syntax_cure
from rules.yaml_events import (
    MAPPING,
    PLACEHOLDER,
    SCALAR,
    SEQUENCE,
    TooDeepError,
    TooManyValuesError,
    Written,
    WrittenEntry,
    compose,
    unpacked,
)

MAX_FILE = 1024 * 1024
"""Bytes of a file that `${file:...}` names: the largest that one may be, of Kubernetes' secrets too."""

Paths = Path | Sequence[Path]
"""Where a configuration is: one file or directory, or several."""

Drafts = Mapping[Path, bytes]
"""What files hold that are not there, by their names: a draft."""


def load_document(
    paths: Paths,
    problems: Problems,
    environ: Mapping[str, str] = os.environ,
    *,
    no_secrets: bool = False,
    files: ReadFiles | None = None,
    drafts: Drafts | None = None,
) -> Node | None:
    """Read the files of a configuration merged by key; None when nothing could be read.

    The top-level sections of the files are joined: their entries by key, `rules` one after the other in the order of
    `files_of`. Whatever is said twice is a problem, but for `version`. With `no_secrets` neither the environment nor a
    file is looked at: what they would fill in is taken for right. `files` gets those that `${file:...}` names. A file of
    `drafts` is not opened: what it would hold is given.
    """
    for path in _each(paths):
        if not files_of(path):
            problems.add_at(Mark(str(path), 1, 1), "", "no *.yaml or *.yml file in this directory")
    beside = ReadFiles() if files is None else files
    given = {} if drafts is None else drafts
    readers = [
        _Reader(file, problems, None if no_secrets else environ, beside, given.get(file)) for file in files_of(paths)
    ]
    documents = [node for reader in readers if (node := reader.read()) is not None]
    return _merged(documents, problems) if documents else None


_SUFFIXES = (".yaml", ".yml")


def _each(paths: Paths) -> Sequence[Path]:
    return [paths] if isinstance(paths, Path) else paths


def shown(paths: Paths) -> str:
    """The paths as they were given."""
    return " ".join(map(str, _each(paths)))


def files_of(paths: Paths) -> list[Path]:
    """The files that a configuration consists of, each once, in the order in which they are read.

    Of a directory these are its `*.yaml` and `*.yml` and those of its sub-directories, by their names; not what begins with
    a dot, as the directories do in which Kubernetes keeps the versions of a mounted configuration, and no tests of rules.
    """
    return _files(paths, lambda file: not _is_test(file))


def rule_tests_of(paths: Paths) -> list[Path]:
    """The files with tests of rules, each once, in order: of a directory `*.test.yaml` and `*.test.yml`."""
    return _files(paths, _is_test)


def _is_test(file: Path) -> bool:
    return Path(file.stem).suffix.lower() == ".test"


def _files(paths: Paths, is_wanted: Callable[[Path], bool]) -> list[Path]:
    files = [file for path in _each(paths) for file in (_below(path, is_wanted) if path.is_dir() else [path])]
    return list({file.resolve(): file for file in reversed(files)}.values())[::-1]


def _below(directory: Path, is_wanted: Callable[[Path], bool]) -> list[Path]:
    entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.suffix.lower() in _SUFFIXES and is_wanted(entry) and _is_read(entry)]
    return files + [file for entry in entries if entry.is_dir() for file in _below(entry, is_wanted)]


def _is_read(entry: Path) -> bool:
    """A file, or a link to none, which is named; not a pipe, which nothing may ever be written to."""
    return entry.is_file() or not entry.exists()


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
            joined: dict[str, Node] | RuleNodes = more | entries
        case RuleNodes() as rules, RuleNodes() as more_rules:
            joined = rules + more_rules
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

    def __init__(
        self,
        file: Path,
        problems: Problems,
        environ: Mapping[str, str] | None,
        files: ReadFiles,
        given: bytes | None,
    ) -> None:
        self._file = file
        self._given = given
        self._files = files
        self._problems = problems
        self._environ = environ
        self._name = str(file)

    def read(self) -> Node | None:
        """The root of the document: always a mapping."""
        start = Mark(str(self._file), 1, 1)
        try:
            content = self._file.read_bytes() if self._given is None else self._given
            text = content.decode("utf-8-sig")
            return self._root(compose(text), text, start)
        except OSError as error:
            self._problems.add_at(start, "", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._not_utf8(content, error)
        except yaml.MarkedYAMLError as error:
            self._not_yaml(error, text.splitlines(), start)
        except yaml.YAMLError:
            self._not_a_character(text, start)
        except TooDeepError as error:
            self._problems.add_at(Mark(self._name, error.line, error.column), "", "nested too deep")
        except TooManyValuesError as error:
            where = Mark(self._name, error.line, error.column)
            self._problems.add_at(where, "", "too many values: aliases of aliases multiply")
        return None

    def _not_utf8(self, content: bytes, error: UnicodeDecodeError) -> None:
        before = content[: error.start].decode("utf-8", "replace")
        where = Mark(str(self._file), before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        self._problems.add_at(where, "", "is UTF-16" if is_utf16 else "is not UTF-8", "save the file as UTF-8")

    def _not_a_character(self, text: str, start: Mark) -> None:
        found = _NOT_OF_YAML.search(text)
        before = text[: found.start()] if found else ""
        where = Mark(self._name, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1) if found else start
        named = f" (U+{ord(found[0]):04X})" if found else ""
        self._problems.add_at(where, "", f"not YAML: a character that YAML does not allow{named}")

    def _not_yaml(self, error: yaml.MarkedYAMLError, lines: Sequence[str], start: Mark) -> None:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "").removeprefix("but ")
        message = ", ".join(part for part in (problem, error.context) if part)
        opened = error.context_mark.line if error.context_mark else None
        cure = syntax_cure(message, lines, mark.line, mark.column, opened) if mark else ""
        where = Mark(str(self._file), mark.line + 1, mark.column + 1) if mark else start
        self._problems.add_at(where, "", f"not YAML: {message}", cure)

    def _root(self, written: Written | None, text: str, start: Mark) -> Node | None:
        if written is None or (written[0] == SCALAR and written[5] and not written[4]):
            kind = "has nothing but comments" if text.strip() else "is empty"
            self._problems.warn_at(start, "", f"this file {kind}{_SAYS_NOTHING}", _NOT_ON_RELOAD)
            return Node(key="", mark=start, key_mark=start, value={})
        if written[0] == MAPPING:
            return self._node(written, "", start)
        line = text.splitlines()[written[1] - 1]
        glued = re.match(r"\s*(\w+):(?=\S)", line) if written[0] == SCALAR else None
        is_list = written[0] == SEQUENCE
        keys = ("tests",) if _is_test(self._file) else ("sources", "rules")
        begin = f"begin with {' or '.join(f'{key}:' for key in reversed(keys))}" if is_list else ""
        cure = f"a space is missing behind {glued[1]}:" if glued else begin
        self._problems.add_at(self._mark(written), "", f"expected keys such as {' and '.join(keys)}", cure)
        return None

    def _node(self, written: Written, key: str, key_mark: Mark) -> Node:
        mark = self._mark(written)
        match written:
            case (kind, _, _, tag, *_) if tag is not None:
                cure = _NOT_A_TAG if key.rpartition(".")[2] in ("when", "to") else ""
                self._problems.add_at(mark, key, f"YAML tags such as {tag} have no meaning here", cure)
        value: list[Node] | dict[str, Node] | RuleNodes | None
        match written:
            case (kind, _, _, _, text, plain, in_line, lost) if kind == SCALAR:
                return self._scalar(text, plain, in_line, lost, key, mark, key_mark)
            case (kind, _, _, _, text) if kind == PLACEHOLDER:
                self._problems.add_at(
                    mark, key, "an object whose key is an object, as YAML reads it", QUOTE_PLACEHOLDER
                )
                return Node(key=key, mark=mark, key_mark=key_mark, value=text, text=text, written=text, in_line=True)
            case (kind, _, _, _, entries) if kind == MAPPING:
                value = self._mapping(entries, key)
            case (kind, _, _, _, items) if kind == SEQUENCE and key == "rules":
                value = RuleNodes([partial(self._rule, item, index) for index, item in enumerate(items)])
            case (kind, _, _, _, items) if kind == SEQUENCE:
                value = [self._node(item, f"{key}[{index}]", self._mark(item)) for index, item in enumerate(items)]
            case _:
                self._problems.add_at(key_mark, key, "an alias may not stand inside of what it stands for")
                value = None
        return Node(key=key, mark=mark, key_mark=key_mark, value=value)

    def _rule(self, item: bytes | Written, index: int) -> Node:
        written = unpacked(item)
        return self._node(written, f"rules[{index}]", self._mark(written))

    def _mapping(self, written: Sequence[WrittenEntry], parent: str) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for name, line, column, value in written:
            mark = Mark(self._name, line, column)
            if name is None:
                self._problems.add_at(mark, parent, "a key has to be text")
                continue
            key = f"{parent}.{name}" if parent else name
            entry = self._node(value, key, mark)
            if name in entries:
                _said_twice(entries[name], entry, self._problems)
            else:
                entries[name] = entry
        return entries

    def _scalar(
        self, written: str, is_plain: bool, in_line: bool, lost: str, key: str, mark: Mark, key_mark: Mark
    ) -> Node:
        start = mark if is_plain or not in_line else mark.moved(1)
        text = written
        if "${" in written:
            text = _replaced(lambda found: self._filled(found, key, start, written), written)
        if lost:
            message = f"everything from {lost[:40]} on is taken for a comment"
            self._problems.warn_at(start, key, message, "put the whole text in quotes")
        value = _plain_value(text, substituted=text != written) if is_plain else text
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
            is_quoted=not is_plain,
        )

    def _filled(self, found: re.Match[str], key: str, start: Mark, written: str) -> str:
        if found[0] == "$${":
            return "${"
        place = start.moved(found.start())
        kind, name, default = found["kind"], found["name"], found["default"]
        if self._environ is None and kind and name:
            if default is None:
                self._problems.withhold(place, key)
            return _WITHHELD if default is None else default
        if kind == "env" and name and self._environ is not None:
            value = self._environ.get(name)
            if value is None and default is None:
                shell = re.fullmatch(r"(\w+):?[-?=](.*)", name, re.ASCII)
                hint = f"a default stands behind :-, as in ${{env:{shell[1]}:-{shell[2]}}}" if shell else ""
                self._problems.add_at(place, key, f"the environment variable {name} is not set", hint)
            return value or default or ""
        if kind == "file" and name:
            return self._content(Path(name), key, place)
        hint = "a value of the event is {{ data.id }}, without the $" if found[0].startswith("${{") else ""
        message = "write ${env:NAME}, ${env:NAME:-default} or ${file:/path}, and $${ for ${"
        self._problems.add_at(place, key, message, hint)
        return ""

    def _content(self, path: Path, key: str, place: Mark) -> str:
        self._files.add(self._file.parent / path)
        try:
            content = read_bounded(self._file.parent / path, MAX_FILE + 1)
            if len(content) > MAX_FILE:
                self._problems.add_at(place, key, f"{path} is larger than {MAX_FILE // 1024} KiB")
                return ""
            return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
        except OSError as error:
            self._problems.add_at(place, key, f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.add_at(place, key, f"{path} is not UTF-8")
        except ValueError:
            self._problems.add_at(place, key, "not the name of a file")
        return ""

    def _mark(self, written: Written) -> Mark:
        return Mark(self._name, written[1], written[2])


_NOT_OF_YAML = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""See YAML 1.2.2, section 5.1."""


_NOT_A_TAG = "a text that begins with ! stands in quotes; an expression of when has not instead"


_PLACEHOLDER = re.compile(
    r"\$\$\{|\$\{(?:(?P<kind>env|file):)?(?P<name>[^}:]*+(?::(?!-)[^}:]*+)*+)(?::-(?P<default>[^}]*+))?\}"
)
_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def _replaced(replace: Callable[[re.Match[str]], str], text: str) -> str:
    """The text with its placeholders replaced.

    Behind the last `}` none is closed: to look there for the end of each `${` would take hours of a long text.
    """
    end = text.rfind("}") + 1
    head, tail = text[:end], text[end:].replace("$${", "${")
    return _PLACEHOLDER.sub(replace, head) + tail


def refilled(node: Node, sample: str) -> Node:
    """A scalar read without secrets, with `sample` where one would be filled in."""
    text = _replaced(lambda found: _sample(found, sample), node.written)
    value = text if node.is_quoted else _plain_value(text, substituted=True)
    return replace(node, value=value, text=text)


def with_gaps(node: Node, gap: str) -> str:
    """What a scalar says of itself, with `gap` where something is filled in."""
    return _replaced(lambda found: "${" if found[0] == "$${" else gap, node.written)


def is_one_placeholder(node: Node) -> bool:
    """Whether a scalar is filled in as a whole."""
    return _PLACEHOLDER.fullmatch(node.written) is not None


def _sample(found: re.Match[str], sample: str) -> str:
    if found[0] == "$${":
        return "${"
    return sample if found["default"] is None else found["default"]


_WITHHELD = "withheld"


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
