"""Changes of an installation's document (Notification Hubs REST API, "Partially update an installation").

A dialect of its own, not RFC 6902: tags are named by their text, and values may be the JSON text of what they mean. The
operations of a patch apply in order, all or none; the document that results is checked as one that is put.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import orjson

from hub.errors import InvalidRequestError
from hub.self_description import LOCALE, TIME_ZONE
from hub.tags import tag_key

MAX_OPERATIONS = 1000

_ADD, _REPLACE, _REMOVE = "add", "replace", "remove"
_APPENDED = "-"
"""The end of a list, as libraries for RFC 6902 write it (RFC 6901, section 4): with a value the value is the tag."""
_SCALARS = {
    "pushchannel": "pushChannel",
    "userid": "userId",
    "user": "userId",
    "expirationtime": "expirationTime",
    LOCALE.lower(): LOCALE,
    TIME_ZONE.lower(): TIME_ZONE,
}
_OF_A_TEMPLATE = {"body": "body", "expiry": "expiry"}

Document = dict[str, Any]


class _Operation:
    """One change; `rest` are the steps of the path that are still to go."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, Mapping):
            raise InvalidRequestError("a patch is a list of objects with op, path and value")
        folded = {str(name).lower(): value for name, value in given.items()}
        op, path = folded.get("op"), folded.get("path")
        self.op = op.lower() if isinstance(op, str) else ""
        if self.op not in (_ADD, _REPLACE, _REMOVE):
            raise InvalidRequestError(f"op {str(op)[:40]!r} is unknown; known are add, replace and remove")
        if not isinstance(path, str) or not path.startswith("/"):
            raise InvalidRequestError(f"path {str(path)[:60]!r} does not begin with a slash")
        self.path = path
        self.rest = [unquote(step.replace("~1", "/").replace("~0", "~")) for step in path[1:].split("/")]
        self.value = folded.get("value")

    @property
    def removes(self) -> bool:
        return self.op == _REMOVE

    def step(self) -> str:
        """The next step of the path, which is taken."""
        return self.rest.pop(0)

    def unknown(self) -> InvalidRequestError:
        return InvalidRequestError(f"path {self.path[:120]!r} names nothing that {self.op} can change")

    def parsed(self) -> Any:
        """The value; what a text says as JSON, if it is a list or an object."""
        if isinstance(self.value, str) and self.value.lstrip()[:1] in ("{", "["):
            try:
                return orjson.loads(self.value)
            except orjson.JSONDecodeError:
                return self.value
        return self.value


def patched(document: Mapping[str, Any], operations: Sequence[Any]) -> Document:
    """The document with all changes made; `document` is as `document_of` makes it, and stays.

    Raises: InvalidRequestError: an operation that is none, or that changes nothing there is.
    """
    if len(operations) > MAX_OPERATIONS:
        raise InvalidRequestError(f"{len(operations)} operations are too many, {MAX_OPERATIONS} are allowed")
    changed: Document = orjson.loads(orjson.dumps(document))
    for given in operations:
        operation = _Operation(given)
        name = operation.step().lower()
        if name in _SCALARS:
            _scalar(changed, _SCALARS[name], operation)
        elif name in _OBJECTS:
            _OBJECTS[name](changed, operation)
        else:
            raise operation.unknown()
    return changed


def _scalar(document: Document, name: str, operation: _Operation) -> None:
    if operation.rest:
        raise operation.unknown()
    if operation.removes:
        document.pop(name, None)
    else:
        document[name] = operation.value


def _tags(document: Document, operation: _Operation) -> None:
    tags = document.setdefault("tags", [])
    if operation.rest:
        tag = operation.step()
        if operation.rest or operation.op == _REPLACE:
            raise operation.unknown()
        if tag == _APPENDED and isinstance(operation.value, str) and operation.op == _ADD:
            document["tags"] = [*tags, operation.value]
            return
        document["tags"] = [each for each in tags if tag_key(each) != tag_key(tag)]
        if not operation.removes:
            document["tags"].append(tag)
    elif operation.removes:
        document["tags"] = []
    else:
        value = operation.parsed()
        new = value if isinstance(value, list) else [value]
        document["tags"] = [*tags, *new] if operation.op == _ADD else new


def _texts(document: Document, name: str, operation: _Operation) -> None:
    """An object of texts: as a whole, or one of them."""
    texts = document.setdefault(name, {})
    if operation.rest:
        key = operation.step()
        if operation.rest:
            raise operation.unknown()
        texts.pop(key, None)
        if not operation.removes:
            texts[key] = operation.value
    else:
        document[name] = {} if operation.removes else operation.parsed()


def _push_variables(document: Document, operation: _Operation) -> None:
    _texts(document, "pushVariables", operation)


def _templates(document: Document, operation: _Operation) -> None:
    templates = document.setdefault("templates", {})
    if not operation.rest:
        document["templates"] = _merged(templates, operation)
        return
    name = operation.step()
    if operation.rest:
        _template(templates.setdefault(name, {}), operation)
    elif operation.removes:
        templates.pop(name, None)
    else:
        templates[name] = operation.parsed()


def _merged(objects: Document, operation: _Operation) -> Any:
    """What an operation on all of them leaves."""
    value = {} if operation.removes else operation.parsed()
    is_merged = operation.op == _ADD and isinstance(value, Mapping)
    return {**objects, **value} if is_merged else value


def _template(template: Any, operation: _Operation) -> None:
    if not isinstance(template, dict):
        raise operation.unknown()
    name = operation.step().lower()
    if name in _OF_A_TEMPLATE:
        _scalar(template, _OF_A_TEMPLATE[name], operation)
    elif name == "tags":
        _tags(template, operation)
    elif name == "headers":
        _texts(template, "headers", operation)
    else:
        raise operation.unknown()


def _tiles(document: Document, operation: _Operation) -> None:
    tiles = document.setdefault("secondaryTiles", {})
    if not operation.rest:
        document["secondaryTiles"] = _merged(tiles, operation)
        return
    id = operation.step()
    if operation.rest:
        tile = tiles.setdefault(id, {})
        if not isinstance(tile, dict):
            raise operation.unknown()
        _tile(tile, operation)
    elif operation.removes:
        tiles.pop(id, None)
    else:
        tiles[id] = operation.parsed()


def _tile(tile: Document, operation: _Operation) -> None:
    name = operation.step().lower()
    if name == "pushchannel":
        _scalar(tile, _SCALARS[name], operation)
    elif name in _OF_A_TILE:
        _OF_A_TILE[name](tile, operation)
    else:
        raise operation.unknown()


_OF_A_TILE: Mapping[str, Callable[[Document, _Operation], None]] = {"tags": _tags, "templates": _templates}
_OBJECTS: Mapping[str, Callable[[Document, _Operation], None]] = {
    "tags": _tags,
    "templates": _templates,
    "pushvariables": _push_variables,
    "secondarytiles": _tiles,
}
