"""The body of a test's event, and single values of JSON in it that a step sets."""

import json
from decimal import Decimal
from typing import Any

from hub import exact_json
from rules.errors import ExpressionError
from rules.expression_tree import Path
from rules.expressions import compile_expression

_ENVELOPES = ("specversion", "eventType")
"""A key that the body of a CloudEvent has, and one of Event Grid's own schema: `data` is then a key of the body."""


_FORM = "a path into the body begins with data. and a key"


class NotSetError(Exception):
    """A value cannot be set; the text says why."""


def json_of(body: bytes) -> Any:
    """The JSON of a body that is an object or a list. Raises: NotSetError."""
    try:
        value = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict | list):
        raise NotSetError("set changes bodies of JSON, and this body is none")
    return value


def set_in(root: Any, path: str, value: Any) -> None:
    """Put a value at a path such as data.items[0].price; objects on the way are made. Raises: NotSetError."""
    keys = _keys_of(path, root)
    holder = root
    for depth, key in enumerate(keys):
        is_last = depth == len(keys) - 1
        match holder, key:
            case dict(), str():
                if is_last:
                    holder[key] = value
                else:
                    holder = holder.setdefault(key, {})
            case list(), int() if -len(holder) <= key < len(holder):
                if is_last:
                    holder[key] = value
                else:
                    holder = holder[key]
            case list(), int():
                raise NotSetError(f"the list there has {len(holder)} elements")
            case _:
                raise NotSetError(f"there is no {'list' if isinstance(key, int) else 'object'} to set {key!r} in")


def written(value: Any) -> bytes:
    """A body of JSON. Raises: NotSetError."""
    try:
        return exact_json.dumps(value, wide=True)
    except (TypeError, ValueError) as error:
        raise NotSetError(f"cannot be written as JSON: {error}") from None


def _keys_of(path: str, root: Any) -> tuple[str | int, ...]:
    """From the root of the body: `data` is the body itself, but for one that is an envelope with attributes and data."""
    try:
        tree = compile_expression(path).tree
    except ExpressionError as error:
        raise NotSetError(f"{error}: {_FORM}") from None
    if not isinstance(tree, Path):
        raise NotSetError("not a path: write data.customerId, data.items[0].price or data['customer-id']")
    if isinstance(root, dict) and any(key in root for key in _ENVELOPES):
        return tree.parts
    if tree.root != "data" or not tree.keys:
        raise NotSetError(_FORM)
    return tree.keys
