"""Complaints about a configuration: where, what is wrong, and what was likely meant."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from hub.spelling import did_you_mean
from rules.node import Mark, Node

NOT_YET = "known, but not supported by this version yet"
"""What is said of a key or value that the language has, and a later version will do."""


class Severity(Enum):
    """An error keeps the process from starting, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One complaint; its text is `file:line:column: key: message (hint)`."""

    mark: Mark
    key: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        what = f"warning: {self.message}" if self.severity is Severity.WARNING else self.message
        text = ": ".join(filter(None, (where, self.key, what))) + (f" ({self.hint})" if self.hint else "")
        # One line without control characters, also where it quotes some.
        return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _place(problem: Problem) -> tuple[str, int, int, str, str]:
    mark = problem.mark
    return mark.file, mark.line, mark.column, problem.key, problem.message


_LONGEST = 1_000
"""Characters of a complaint that are shown."""

_MOST_HINTS = 1_000
"""Complaints after which no more names are compared with the known ones, which takes a ten-thousandth of a second each."""


class Problems:
    """Collects complaints; none of them stops the reading."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._mistaken: set[str] = set()
        self._withheld: set[tuple[str, str]] = set()
        self.has_withheld = False
        """Whether a value is not known where the configuration is checked."""

    def withhold(self, mark: Mark, key: str) -> None:
        """Take the value of `key` in a file for right: what it will be is not known where it is checked."""
        self._withheld.add((mark.file, key))
        self.has_withheld = True

    def is_withheld(self, node: Node) -> bool:
        """Whether complaints of this value are not kept."""
        return (node.mark.file, node.key) in self._withheld

    def withholds_below(self, file: str, key: str) -> bool:
        """Whether a value at a key or below it is not known where the configuration is checked."""
        return any(
            held == file and (path == key or path.startswith((f"{key}.", f"{key}["))) for held, path in self._withheld
        )

    def expose(self, node: Node) -> None:
        """Keep complaints of this value again: the mistake is not in what was withheld."""
        self._withheld.discard((node.mark.file, node.key))

    def keys(self) -> set[str]:
        """Of all that was complained of."""
        return {problem.key for problem in self._found}

    def _keep(self, problem: Problem) -> None:
        if len(problem.message) > _LONGEST:  # a value of a megabyte, or the names of a thousand sources
            problem = replace(problem, message=f"{problem.message[:_LONGEST]} …")
        self._found.append(problem)
        if problem.severity is Severity.ERROR:
            self._mistaken.add(problem.key)

    def add(self, node: Node, message: str, hint: str = "", *, mark: Mark | None = None) -> None:
        """Complain about a value, at its own place unless given another."""
        if not self._is_taken_for_right(node, mark):
            self._keep(Problem(mark=mark or node.mark, key=node.key, message=message, hint=hint))

    def warn(self, node: Node, message: str, hint: str = "", *, mark: Mark | None = None) -> None:
        """Say what will work, but perhaps not as meant, at the value's own place unless given another."""
        if not self._is_taken_for_right(node, mark):
            severity = Severity.WARNING
            self._keep(Problem(mark=mark or node.mark, key=node.key, message=message, hint=hint, severity=severity))

    def _is_taken_for_right(self, node: Node, mark: Mark | None) -> bool:
        """Whether a complaint is of a value that is withheld; one of its key stays."""
        return self.has_withheld and self.is_withheld(node) and (mark is None or mark != node.key_mark)

    def unknown_key(
        self, name: str, node: Node, known: Iterable[str], later: Iterable[str] = (), *, cure: str = ""
    ) -> None:
        """Complain that the key `name` of a value is not one of the `known`, or is one of a `later` version."""
        known = tuple(known)
        before, colon, after = name.partition(":")
        if name in later:
            self.add(node, NOT_YET, mark=node.key_mark)
        elif colon and before in known and node.value is None:
            self.add(node, "a space is missing behind the colon", f"write {before}: {after}", mark=node.key_mark)
        else:
            hint = cure
            if not hint and len(self._found) < _MOST_HINTS:
                hint = did_you_mean(name, (*known, *later), all_if_few=False) or did_you_mean(name, known)
            self.add(node, "unknown key", hint, mark=node.key_mark)

    def add_at(self, mark: Mark, key: str, message: str, hint: str = "") -> None:
        """Complain about what is no value yet: a file, or a line of YAML."""
        self._keep(Problem(mark=mark, key=key, message=message, hint=hint))

    def warn_at(self, mark: Mark, key: str, message: str, hint: str = "") -> None:
        """As `add_at`, of what will work, but perhaps not as meant."""
        self._keep(Problem(mark=mark, key=key, message=message, hint=hint, severity=Severity.WARNING))

    def is_mistaken(self, key: str) -> bool:
        """Whether a mistake of the value at `key` was named already; a warning of it is none."""
        return key in self._mistaken

    @property
    def has_errors(self) -> bool:
        """Whether there is a complaint that is no warning."""
        return any(problem.severity is Severity.ERROR for problem in self._found)

    def sorted(self) -> list[Problem]:
        """All complaints by place, each once."""
        return sorted(set(self._found), key=_place)
