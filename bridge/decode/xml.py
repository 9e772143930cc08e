"""XML bodies, as dicts."""

import math
import re
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from lxml import etree

from bridge.decode.base import MAX_DEPTH, ValueType
from bridge.decode.charset import declared_charset, text_of
from bridge.decode.instants import parse_instant
from bridge.errors import EventError, Reason

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


class XmlReader:
    """Reads a document into what its root element holds.

    Elements and attributes go by their local names. An element with neither attributes nor children is its text, any
    other a dict: attributes as `@name`, children by name (repeated ones as a list), text beside them as `#text`.
    White space around text is dropped. Attributes of XML Schema instances (`xsi:type`, ...) are for validators and are
    left out. A document type declaration is refused, so there are no entities to expand and no file or host to reach.
    A charset of the content type wins over the encoding that the document declares (RFC 7303, section 3.2).
    """

    def __init__(self, *, root: str | None, types: Mapping[str, ValueType]) -> None:
        self._parsers = _Parsers(root, types)

    def __call__(self, body: bytes, content_type: str | None = None) -> Any:
        """Raises: EventError."""
        parser = self._parsers.own
        if declared_charset(content_type) is not None:
            body, parser = text_of(body, content_type).encode(), self._parsers.utf8
        try:
            return etree.fromstring(body, parser)
        except etree.XMLSyntaxError as error:
            # Not chained: libxml2's message quotes the document.
            raise EventError(Reason.DECODE, f"not XML: {_kind(error)} at line {error.lineno or 1}") from None


class _Parsers(threading.local):
    """Parsers of one thread: a document that waits for the parser of another thread would hold the event loop."""

    def __init__(self, root: str | None, types: Mapping[str, ValueType]) -> None:
        self.own = _parser(_Builder(root, types), encoding=None)
        self.utf8 = _parser(_Builder(root, types), encoding="utf-8")


def _parser(builder: Any, *, encoding: str | None) -> etree.XMLParser:
    """Any, as lxml's stubs ask for methods that lxml itself treats as optional. `encoding` None: the document's own."""
    return etree.XMLParser(
        target=builder,
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )


def _kind(error: etree.XMLSyntaxError) -> str:
    """libxml2's name of the error in words: ERR_TAG_NAME_MISMATCH is "tag name mismatch"."""
    log: Any = error.error_log  # without attributes in lxml's stubs
    last = log.last_error
    return last.type_name.removeprefix("ERR_").replace("_", " ").lower() if last is not None else "empty document"


class _Element:
    """An element that is still open."""

    __slots__ = ("members", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, Any] = {}
        self.text: list[str] = []

    def add(self, name: str, value: Any) -> None:
        if name not in self.members:
            self.members[name] = value
        elif isinstance(earlier := self.members[name], list):
            earlier.append(value)
        else:
            self.members[name] = [earlier, value]


class _Builder:
    """A parser target (lxml, "The target parser interface"): builds the data as the parser reads, without a tree."""

    def __init__(self, root: str | None, types: Mapping[str, ValueType]) -> None:
        self._root = root
        self._by_name = {key: (kind, _READ[kind]) for key, kind in types.items() if "/" not in key}
        self._by_path = {key: (kind, _READ[kind]) for key, kind in types.items() if "/" in key}
        self._open: list[_Element] = []
        self._value: Any = None

    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        raise EventError(Reason.DECODE, "XML with a document type declaration")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = _local(tag)
        if not self._open and self._root is not None and name != self._root:
            raise EventError(Reason.DECODE, f"the root element is not {self._root}")
        if len(self._open) == MAX_DEPTH:
            raise EventError(Reason.DECODE, f"XML nested deeper than {MAX_DEPTH} levels")
        element = _Element(name)
        self._open.append(element)
        for key, value in attributes.items():
            if not key.startswith(_XSI):
                member = "@" + _local(key)
                element.add(member, self._typed(member, value))

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, tag: str) -> None:
        element = self._open[-1]
        text = "".join(element.text).strip()
        value: Any
        if element.members:
            if text:
                element.members["#text"] = self._typed("", text)
            value = element.members
        else:
            value = self._typed("", text)
        self._open.pop()
        if self._open:
            self._open[-1].add(element.name, value)
        else:
            self._value = value

    def close(self) -> Any:
        """Called after every document, a broken one too: hands out the value and forgets the document."""
        value, self._value = self._value, None
        self._open.clear()
        return value

    def _typed(self, attribute: str, text: str) -> Any:
        """The text of the innermost open element, or of its attribute, as its type says."""
        if not self._by_name and not self._by_path:
            return text
        key = attribute or self._open[-1].name
        typed = self._by_name.get(key)
        if self._by_path:
            names = [element.name for element in self._open[1:]]
            path = "/".join([*names, attribute] if attribute else names)
            key, typed = (path, self._by_path[path]) if path in self._by_path else (key, typed)
        if typed is None:
            return text
        kind, read = typed
        try:
            return read(text.strip())
        except ValueError:
            # Not chained: the message of a failed conversion quotes the value.
            raise EventError(Reason.DECODE, f"{key} is not of the type {kind}") from None


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _decimal(text: str) -> Decimal:
    return Decimal(_lexical(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text))


def _int(text: str) -> int:
    return int(_lexical(r"[+-]?[0-9]+", text))


def _float(text: str) -> float:
    value = float(_lexical(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text))
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _bool(text: str) -> bool:
    return _lexical("true|false|1|0", text) in ("true", "1")


def _datetime(text: str) -> str:
    """RFC 3339 text in UTC: data stays JSON-like, and instants compare as text."""
    return parse_instant(text).isoformat().replace("+00:00", "Z")


def _lexical(pattern: str, text: str) -> str:
    """The text if it is a number or truth value as XML Schema writes it (Part 2, section 3.2).

    Python alone would take more: underscores, digits of other scripts, NaN.
    """
    if len(text) > 64 or re.fullmatch(pattern, text) is None:
        raise ValueError("not in the lexical space")
    return text


_READ: Mapping[ValueType, Callable[[str], Any]] = {
    "decimal": _decimal,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "datetime": _datetime,
}
