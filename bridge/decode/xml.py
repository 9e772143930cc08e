"""XML bodies, as dicts."""

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

from lxml import etree

from bridge.decode.base import MAX_DEPTH, DecodeSettings, ValueType
from bridge.decode.charset import byte_order, charset_named, declared_charset, seen, text_of
from bridge.decode.types import TypedText
from bridge.errors import EventError, Reason

_LONGEST_NAME = 60
"""Characters of a sender's name of an element that a complaint shows."""

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_ODATA = (
    "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}",
    "{http://docs.oasis-open.org/odata/ns/metadata}",
)
_NIL = frozenset([_XSI + "nil", *(namespace + "null" for namespace in _ODATA)])
"""What says that an element is null: XML Schema's attribute, and that of OData in Atom, version 2 to 4."""
_TYPE = frozenset(namespace + "type" for namespace in _ODATA)
_COMMON = (b"utf-8", b"UTF-8")
_OF_ENCODING = ("invalid encoding", "unsupported encoding")
_WHITE = b" \t\r\n"
_TWO_BYTES = re.compile(r"(?:iso-?10646-?)?ucs-?2|unicode", re.IGNORECASE)
"""UTF-16 by the names that SQL Server and older Windows programs declare."""
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']""", re.ASCII)


class XmlReader:
    """Reads a document into what its root element holds.

    Elements and attributes go by their local names. An element with neither attributes nor children is its text, any
    other a dict: attributes as `@name`, children by name (repeated ones as a list), text beside them as `#text`.
    White space around text is dropped. An element without a value, `xsi:nil` or OData's `m:null` by whatever prefix, is
    null (its other attributes stay, but for OData's `m:type`, beside a `#text` that is null); an empty one is empty text,
    and null where `types` gives it a type. Other attributes of XML Schema instances (`xsi:type`, ...) are for validators
    and are left out. What `lists` names is
    a list, of none, one or many: a path is an empty list in a parent that has none, a name that occurs nowhere in the
    root. A document type declaration is refused, so there are no entities to expand and no file or host to reach.
    A byte order mark wins over a charset of the content type, and that over the encoding that the document declares
    (RFC 7303, section 3.2), unless the bytes are not of that charset. A declaration that cannot be true is passed over: a
    document that can be read as far as its declaration is not in UTF-16, and one of UTF-8 is not of an encoding that
    nobody knows. White space before the declaration and zero bytes behind the document, which senders leave there, are
    passed over as well. `encoding` is tried where nothing else says.
    """

    def __init__(
        self,
        *,
        root: str | None,
        types: Mapping[str, ValueType],
        lists: Sequence[str] = (),
        encoding: str | None = None,
        timezone: tzinfo = UTC,
    ) -> None:
        self._encoding = encoding
        typed = {key: TypedText(kind, timezone) for key, kind in types.items()}
        self._parsers = _Parsers(root, typed, lists)

    def __call__(self, body: bytes, content_type: str | None = None) -> Any:
        """Raises: EventError."""
        if byte_order(body) is None:
            body = body.lstrip(_WHITE).rstrip(b"\0")
        text = self._text(body, content_type)
        if text is not None:
            return _parsed(text.lstrip().rstrip("\0").encode(), self._parsers.utf8)
        try:
            return _parsed(body, self._parsers.own)
        except _UnknownEncodingError:
            if not _is_utf_8(body):
                raise
            return _parsed(body, self._parsers.utf8)

    def _text(self, body: bytes, content_type: str | None) -> str | None:
        """The document, where its encoding is not for the parser to find out."""
        declared = _DECLARED.match(body, 0, 200)
        if declared_charset(content_type) is not None or byte_order(body) is not None:
            try:
                return text_of(body, content_type, self._encoding)
            except EventError:
                # Many clients add charset=utf-8 to any body; the document knows its encoding better.
                if declared is None or declared[1] in _COMMON:
                    raise
        if self._encoding is None and (declared is None or declared[1] in _COMMON):
            return None
        charset = None if declared is None else _charset(declared[1].decode())
        if charset is not None and charset.startswith(("utf-16", "utf-32")):
            return body.decode() if _is_utf_8(body) else text_of(body, None, self._encoding)
        if self._encoding is None or charset not in (None, "utf-8") or _is_utf_8(body):
            return None
        return text_of(body, None, self._encoding)


def _charset(declared: str) -> str | None:
    return "utf-16" if _TWO_BYTES.fullmatch(declared) else charset_named(declared)


class _UnknownEncodingError(EventError):
    """A document that declares an encoding which the parser does not know."""


def _parsed(body: bytes, parser: etree.XMLParser) -> Any:
    try:
        return etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        kind = _kind(error)
        hint = "; decode.encoding names the encoding of a body that does not" if kind in _OF_ENCODING else ""
        # Not chained: libxml2's message quotes the document.
        complaint = _UnknownEncodingError if kind == "unsupported encoding" else EventError
        raise complaint(Reason.DECODE, f"not XML: {kind} at line {error.lineno or 1}{seen(body) or hint}") from None


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Parsers(threading.local):
    """Parsers of one thread: a document that waits for the parser of another thread would hold the event loop."""

    def __init__(self, root: str | None, types: Mapping[str, TypedText], lists: Sequence[str]) -> None:
        self.own = _parser(_Builder(root, types, lists), encoding=None)
        self.utf8 = _parser(_Builder(root, types, lists), encoding="utf-8")


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

    __slots__ = ("is_nil", "members", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, Any] = {}
        self.text: list[str] = []
        self.is_nil = False

    def add(self, name: str, value: Any) -> None:
        if name not in self.members:
            self.members[name] = value
        elif isinstance(earlier := self.members[name], list):
            earlier.append(value)
        else:
            self.members[name] = [earlier, value]


class _Builder:
    """A parser target (lxml, "The target parser interface"): builds the data as the parser reads, without a tree."""

    def __init__(self, root: str | None, types: Mapping[str, TypedText], lists: Sequence[str]) -> None:
        self._root = root
        self._by_name = {key: read for key, read in types.items() if "/" not in key}
        self._by_path = {key: read for key, read in types.items() if "/" in key}
        self._list_names = frozenset(lists)
        self._list_paths: dict[str, set[str]] = {}  # names by the path of their parent
        for path in lists:
            parent, slash, name = path.replace(".", "/").rpartition("/")
            if slash:
                self._list_paths.setdefault(parent, set()).add(name)
        self._unmet = set(self._list_names)
        self._open: list[_Element] = []
        self._value: Any = None

    def doctype(self, name: str, public_id: str | None, system: str | None) -> None:
        raise EventError(Reason.DECODE, "XML with a document type declaration")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = _local(tag)
        if not self._open and self._root is not None and name != self._root:
            raise EventError(Reason.DECODE, f"the root element is {_shown(name)}, not {self._root}")
        if len(self._open) == MAX_DEPTH:
            raise EventError(Reason.DECODE, f"XML nested deeper than {MAX_DEPTH} levels")
        element = _Element(name)
        self._open.append(element)
        element.is_nil = any(value.strip() in ("true", "1") for key, value in attributes.items() if key in _NIL)
        for key, value in attributes.items():
            if key not in _NIL and not key.startswith(_XSI) and not (element.is_nil and key in _TYPE):
                member = "@" + _local(key)
                element.add(member, self._typed(member, value))

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, tag: str) -> None:
        element = self._open[-1]
        text = "".join(element.text).strip()
        if self._list_names:
            self._add_empty_lists(element, text)
        value: Any
        if element.members:
            if text:
                element.members["#text"] = self._typed("", text)
            elif element.is_nil and all(name.startswith("@") for name in element.members):
                element.members["#text"] = None
            value = element.members
        else:
            value = None if element.is_nil and not text else self._typed("", text)
        is_listed = self._list_names and self._is_listed(element)
        self._open.pop()
        if not self._open:
            self._value = value
        elif is_listed:
            self._open[-1].members.setdefault(element.name, []).append(value)
        else:
            self._open[-1].add(element.name, value)

    def close(self) -> Any:
        """Called after every document, a broken one too: hands out the value and forgets the document."""
        value, self._value = self._value, None
        self._open.clear()
        self._unmet = set(self._list_names)
        return value

    def _path(self) -> str:
        return "/".join([element.name for element in self._open[1:]])

    def _is_listed(self, element: _Element) -> bool:
        if element.name in self._list_names:
            self._unmet.discard(element.name)
            return True
        return element.name in self._list_paths.get(self._path().rpartition("/")[0], ()) and len(self._open) > 1

    def _add_empty_lists(self, element: _Element, text: str) -> None:
        """What is listed and did not occur in the innermost element; one that is text or null stays as it is."""
        if element.is_nil or (text and not element.members):
            return
        names = self._list_paths.get(self._path(), set()) if self._list_paths else set()
        if len(self._open) == 1:
            names = names | {name for name in self._unmet if not re.search("[./]", name)}
        for name in names:
            element.members.setdefault(name, [])

    def _typed(self, attribute: str, text: str) -> Any:
        """The text of the innermost open element, or of its attribute, as its type says."""
        if not self._by_name and not self._by_path:
            return text
        key = attribute or self._open[-1].name
        typed = self._by_name.get(key)
        if self._by_path:
            path = "/".join([part for part in (self._path(), attribute) if part])
            key, typed = (path, self._by_path[path]) if path in self._by_path else (key, typed)
        return text if typed is None else typed(key, text)


def _shown(name: str) -> str:
    """A name that a sender wrote, for a complaint."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def reader(settings: DecodeSettings) -> XmlReader:
    """For `decode.format: xml`."""
    return XmlReader(
        root=settings.root,
        types=settings.types,
        lists=settings.lists,
        encoding=settings.encoding,
        timezone=settings.timezone,
    )
