"""What a service refuses by its own documents, found in `push.native` before anything is sent: what all services share.

The advice of a service is in its folder (`Traits.advise`). A text with placeholders is not known before there is an
event, so nothing is said of it. What a service refuses is an error. What it takes and the phone then does not show as
meant is a warning, and so is a header that a newer service may know.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from hub.exact_json import dumps

_ALONE = re.compile(r"\{\{(?:(?!\}\}).)*\}\}", re.DOTALL)


class Written(Protocol):
    """A value as written: a scalar, a list or a dict of further ones."""

    @property
    def value(self) -> Any: ...

    @property
    def text(self) -> str:
        """A scalar as text, however it is typed."""

    @property
    def written(self) -> str:
        """The text before secrets and variables were filled in: what a complaint may quote."""

    @property
    def key_mark(self) -> Any:
        """The place of its key."""


class Complaints(Protocol):
    """Takes complaints about written values, each with a hint; `mark` is a place other than the value's own."""

    def add(self, node: Any, message: str, hint: str = "", *, mark: Any = None) -> None:
        """The service refuses it."""

    def warn(self, node: Any, message: str, hint: str = "", *, mark: Any = None) -> None:
        """The service takes it, and it does perhaps not what was meant."""


def said(headers: Mapping[str, Written], name: str) -> str | None:
    """The value of a header; empty if there is none, None if it has placeholders."""
    node = headers.get(name)
    return "" if node is None else None if "{{" in node.text else node.text


def has_placeholder(node: Written) -> bool:
    """Whether a value is a text with placeholders."""
    return isinstance(node.value, str) and "{{" in node.value


def is_placeholder_alone(node: Written) -> bool:
    """Whether a value is one placeholder and nothing beside it, so that the kind of what fills it stays."""
    return isinstance(node.value, str) and _ALONE.fullmatch(node.value) is not None


def check_size(size: int, limit: int, node: Written, complaints: Complaints) -> None:
    """`size` is what a payload has at least, in bytes, whatever its placeholders give."""
    if size > limit:
        complaints.add(node, f"has {size} bytes without its values, the service takes {limit}", mark=node.key_mark)


def without_placeholders(text: str) -> str:
    """What is left of a text when each placeholder gives nothing."""
    return re.sub(r"\{\{.*?\}\}", "", text, flags=re.DOTALL)


def json_size(node: Written) -> int:
    """Bytes of a tree as JSON, at least."""
    return len(dumps(_smallest(node), wide=True))


def _smallest(node: Written) -> Any:
    match node.value:
        case dict() as entries:
            return {key: _smallest(entry) for key, entry in entries.items()}
        case list() as items:
            return [_smallest(item) for item in items]
        case str() as text if re.fullmatch(r"\{\{.*\}\}", text, re.DOTALL):
            return 0
        case str() as text:
            return without_placeholders(text)
        case scalar:
            return scalar


def value_size(node: Written) -> int:
    """Bytes of the keys and values of a tree, at least, without what JSON puts around them."""
    match node.value:
        case dict() as entries:
            return sum(len(key.encode()) + value_size(entry) for key, entry in entries.items())
        case list() as items:
            return sum(map(value_size, items))
        case None:
            return 0
        case _:
            return len(without_placeholders(node.text).encode())
