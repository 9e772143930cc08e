"""How much a body of Avro can become: what a schema says of it, and a look at the body where that does not bound it."""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bridge.errors import EventError, Reason

_MAX_FIXED: Final = 10_000
"""Records, lists and values without a byte that a schema alone makes of one value."""

_BRANCHES: Final = 20
"""Branches of a union that cost as much as a record: fastavro goes through all of them for each value, and a union of
thousands would hold the process for a minute over 200 kB."""

_BYTES: Final[Mapping[str, int]] = {"null": 0, "float": 4, "double": 8}
"""The fewest bytes of a primitive type; all others have one."""


class _Size(NamedTuple):
    """Of one value of a type, without the items of lists and maps in it.

    `containers` counts records, lists, maps and values that take no byte; `bytes` are the fewest that it takes; `depth`
    is how deep it is nested with the items of lists and maps.
    """

    containers: int
    bytes: int
    depth: float


class Bounds:
    """Keeps bodies of one schema (parsed by fastavro, with its named types) within a depth and a number of containers.

    Raises: ValueError: a value of the schema would be too deep or too large whatever the body is.
    """

    def __init__(self, schema: Any, named: Mapping[str, Any], *, max_depth: int, max_containers: int) -> None:
        self._schema = schema
        self._named = named
        self._max_depth = max_depth
        self._max_containers = max_containers
        self._sizes: dict[str, _Size] = {}
        self._open: set[str] = set()
        self._of_a_byte = 0.0
        self._depth = self._size(schema).depth
        if max_depth < self._depth < math.inf:
            raise ValueError(f"its data are nested deeper than {max_depth - 1} levels")

    def check(self, content: bytes) -> None:
        """Raises: EventError."""
        if self._depth < math.inf and self._of_a_byte * len(content) <= self._max_containers:
            return
        _Survey(content, self._named, self._max_depth, self._max_containers).skip(self._schema, 0)

    def _size(self, schema: Any) -> _Size:
        """Raises: ValueError."""
        match schema:
            case str() if schema in self._named:
                return self._of_named(schema)
            case str():
                fewest = _BYTES.get(schema, 1)
                return _Size(int(not fewest), fewest, 0)
            case list():
                branches = [self._size(each) for each in schema]
                containers = max((each.containers for each in branches), default=0) + len(schema) // _BRANCHES
                fewest = min((each.bytes for each in branches), default=0)
                return _Size(containers, 1 + fewest, max((each.depth for each in branches), default=0))
        match schema["type"]:
            case "record" | "error":
                return self._of_named(schema["name"])
            case "array":
                return self._of_items(schema["items"], 0)
            case "map":
                return self._of_items(schema["values"], 1)
            case "fixed":
                return _Size(int(not schema["size"]), schema["size"], 0)
            case kind:
                return _Size(0, 1, 0) if kind == "enum" else self._size(kind)

    def _of_named(self, name: str) -> _Size:
        if name in self._sizes:
            return self._sizes[name]
        schema = self._named[name]
        if schema["type"] not in ("record", "error"):
            return self._size(schema)
        if name in self._open:  # it is in itself: a body says how deep
            return _Size(0, 0, math.inf)
        self._open.add(name)
        fields = [self._size(field["type"]) for field in schema["fields"]]
        self._open.remove(name)
        size = _Size(
            1 + sum(each.containers for each in fields),
            sum(each.bytes for each in fields),
            1 + max((each.depth for each in fields), default=0),
        )
        if size.containers > _MAX_FIXED:
            raise ValueError(f"one value of the type {name[:100]} has more than {_MAX_FIXED} records in it")
        self._sizes[name] = size
        return size

    def _of_items(self, items: Any, of_key: int) -> _Size:
        item = self._size(items)
        fewest = item.bytes + of_key
        self._of_a_byte = max(self._of_a_byte, item.containers / fewest if fewest else math.inf if item else 0)
        return _Size(1, 1, 1 + item.depth)


class _Survey:
    """Walks through a body without making its values. What is cut off is left to the reader to name."""

    def __init__(self, content: bytes, named: Mapping[str, Any], max_depth: int, max_containers: int) -> None:
        self._content = content
        self._named = named
        self._max_depth = max_depth
        self._left = max_containers
        self._at = 0

    def skip(self, schema: Any, depth: int) -> None:
        """Raises: EventError."""
        if isinstance(schema, list):
            number = self._long()
            if not 0 <= number < len(schema):
                raise _no_body(f"no branch {number} of a union")
            self._count(len(schema) // _BRANCHES)
            self.skip(schema[number], depth)
            return
        if isinstance(schema, str):
            if schema not in self._named:
                self._skip_primitive(schema)
                return
            schema = self._named[schema]
        match schema["type"]:
            case "record" | "error":
                self._enter(depth)
                for field in schema["fields"]:
                    self.skip(field["type"], depth + 1)
            case "array":
                self._enter(depth)
                self._skip_items(schema["items"], depth, has_keys=False)
            case "map":
                self._enter(depth)
                self._skip_items(schema["values"], depth, has_keys=True)
            case "fixed":
                if not schema["size"]:
                    self._count()
                self._take(schema["size"])
            case "enum":
                self._long()
            case kind:
                self.skip(kind, depth)

    def _skip_items(self, items: Any, depth: int, *, has_keys: bool) -> None:
        while count := self._long():
            if count < 0:
                count = -count
                self._long()  # how many bytes they have
            for _ in range(count):
                if has_keys:
                    self._take(self._long())
                self.skip(items, depth + 1)

    def _skip_primitive(self, kind: str) -> None:
        match kind:
            case "null":
                self._count()
            case "boolean":
                self._take(1)
            case "int" | "long":
                self._long()
            case "float":
                self._take(4)
            case "double":
                self._take(8)
            case _:
                self._take(self._long())

    def _enter(self, depth: int) -> None:
        if depth >= self._max_depth:
            raise EventError(Reason.DECODE, f"Avro nested deeper than {self._max_depth - 1} levels")
        self._count()

    def _count(self, containers: int = 1) -> None:
        self._left -= containers
        if self._left < 0:
            raise EventError(Reason.TOO_LARGE, "Avro with too many records and lists")

    def _take(self, size: int) -> None:
        if size < 0 or self._at + size > len(self._content):
            raise _no_body(f"the data are cut off at byte {len(self._content)}")
        self._at += size

    def _long(self) -> int:
        """A zigzag number of up to ten bytes."""
        value = shift = 0
        while True:
            if self._at >= len(self._content) or shift > 63:
                raise _no_body(f"no number at byte {self._at}")
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)


def _no_body(detail: str) -> EventError:
    return EventError(Reason.DECODE, f"not of its Avro schema: {detail}")
