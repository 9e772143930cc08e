"""Secrets that stand in a file as they are, where a copy of the file, or its history, gives them away.

The value of `${env:NAME:-default}` is none of these: a default is for where the variable is not set, to try things out.
A warning of it would be one of every example, and `--strict` fails on warnings, so that examples could not be checked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from bridge.config.models.document import Sections
from rules.document import with_gaps
from rules.node import Mark, Node
from rules.problems import Problems

SHOWN = "(secret)"
"""What `check --show` writes for a secret."""

_LISTS = (tuple, list, frozenset, Sequence)
_FILLED = "\0"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@:\s]*:(?P<password>[^/?#@\s]+)@", re.ASCII)
_READ_BY_ALL = "stands in clear: all who can read this file, or a copy, can use it"


def warn_of_secrets(root: Node, problems: Problems) -> None:
    """One warning for each secret in the sections of a configuration that is not filled in; none shows the secret."""
    for node, is_secret in _scalars(root, [Sections]):
        if not isinstance(node.value, str | int | float) or problems.is_mistaken(node.key):
            continue
        text = with_gaps(node, _FILLED)
        if (url := _PASSWORD.match(text)) is not None:
            if _FILLED not in url["password"]:
                hint = "write ${env:NAME} or ${file:/path} in the password's place, or for the whole URL"
                problems.warn_at(node.mark, node.key, f"the password in this URL {_READ_BY_ALL}", hint)
        elif is_secret and text and text != SHOWN and _FILLED not in text and _URL.match(text) is None:
            problems.warn_at(node.mark, node.key, f"this secret {_READ_BY_ALL}", "write ${env:NAME} or ${file:/path}")


def without_secrets(sections: Mapping[str, Node]) -> dict[str, Any]:
    """Sections as YAML has them, as written, with a placeholder for each secret and a name of no file for each credential.

    What stands in the place of a secret is filled in by samples where it is read with `no_secrets`. Files that say how a
    body is decoded keep their names.
    """
    root = Node(key="", mark=_NOWHERE, key_mark=_NOWHERE, value=dict(sections))
    shown = _withheld(root, [Sections])
    assert isinstance(shown, dict)
    return shown


_NOWHERE = Mark("", 1, 1)
_WITHHELD, _WITHHELD_FILE = "${env:WITHHELD}", "/withheld/file"
_DECODING = re.compile(r"sources\.[^.]+\.decode\.")


def _withheld(node: Node, annotations: Iterable[Any]) -> Any:
    types = [each for annotation in annotations for each in _choices(annotation)]
    items_of = [each for kind in types if get_origin(kind) in _LISTS for each in get_args(kind)]
    match node.value:
        case dict() as entries:
            return {name: _withheld(entry, [_below(kind, name) for kind in types]) for name, entry in entries.items()}
        case list() as items:
            return [_withheld(item, items_of) for item in items]
        case str() | int() | float():
            every = {*types, *(kind for each in items_of for kind in _choices(each))}
            text = with_gaps(node, _FILLED)
            if SecretStr in every or _PASSWORD.match(text) is not None:
                return _WITHHELD
            if Path in every and _DECODING.match(node.key) is None:
                return _WITHHELD_FILE
    return node.value if node.text == node.written else node.written


def _scalars(node: Node, annotations: Iterable[Any]) -> Iterator[tuple[Node, bool]]:
    """Every scalar below a node, and whether one of the types that may stand there is a secret."""
    types = [each for annotation in annotations for each in _choices(annotation)]
    items_of = [each for kind in types if get_origin(kind) in _LISTS for each in get_args(kind)]
    match node.value:
        case dict() as entries:
            for name, entry in entries.items():
                yield from _scalars(entry, [_below(kind, name) for kind in types])
        case list() as items:
            for item in items:
                yield from _scalars(item, items_of)
        case str() | int() | float():
            yield node, SecretStr in (*types, *(kind for each in items_of for kind in _choices(each)))  # one of several


def _choices(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _choices(each)
    else:
        yield annotation


def _below(kind: Any, name: str) -> Any:
    """The type at a key of an object of a type; None where there is none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        named = (field for own, field in kind.model_fields.items() if (field.alias or own) == name)
        return next((field.annotation for field in named), None)
    return get_args(kind)[1] if get_origin(kind) in (Mapping, dict) else None
