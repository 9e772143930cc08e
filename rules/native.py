"""`push.native`: a payload as it goes to one push service, with values in it.

Values are data wherever they stand: in JSON they become strings (or, where a string is nothing but one placeholder, the
value with its own type), in XML they are escaped, in headers control characters are refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from hub.characters import CONTROLS, escape_xml, fits_xml
from hub.notification import NativeContent, Platform
from hub.platforms.table import services, traits_of
from hub.platforms.traits import PayloadKind, Traits
from rules import models
from rules.errors import RenderError
from rules.event import Event
from rules.explain import NOWHERE, FailedCondition, Place
from rules.match.patterns import Path
from rules.node import Mark, Node
from rules.payload import JsonPayload, Payload, TextPayload, frozen, part_of_text
from rules.problems import Problems
from rules.reading import fields, template
from rules.render import MAX_TEXT, Text
from rules.text import json_of, text_of

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A compiled payload and its headers for one platform; `mark` is the place of the payload."""

    platform: Platform
    payload: Payload
    headers: tuple[tuple[str, Text], ...]
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)

    def content(self, event: Event) -> NativeContent:
        """The payload with an event's values. Raises: RenderError."""
        return NativeContent(
            platform=self.platform,
            payload=self.payload.fill(event),
            headers={name: text.render(event) for name, text in self.headers},
        )

    def explain(self, event: Event, key: str) -> FailedCondition | None:
        """The first placeholder that an event cannot fill, or the payload itself, where it grows too large.

        `key` is the path of this platform's entry.
        """
        try:
            self.content(event)
        except RenderError as failure:
            error = str(failure)
        else:
            return None
        if (failed := self.payload.explain(event, f"{key}.payload")) is not None:
            return failed
        explained = (text.explain(event, f"{key}.headers.{name}") for name, text in self.headers)
        if (failed := next((one for one in explained if one is not None), None)) is not None:
            return failed
        place = Place(f"{key}.payload", self.mark)
        return FailedCondition(place=place, wanted=f"a payload of at most {MAX_TEXT} bytes", seen={}, error=error)


def compile_native(platform: Platform, node: Node, problems: Problems) -> Native | None:
    """Compile `payload` and `headers` for one platform; None after complaining."""
    entries = fields(node, problems, models.NativePayload)
    headers = _headers(platform, entries["headers"], problems) if "headers" in entries else ()
    if "payload" not in entries:
        problems.add(node, "payload is missing", mark=node.key_mark)
        return None
    payload = _payload(platform, entries["payload"], problems)
    if payload is None:
        return None
    return Native(platform=platform, payload=payload, headers=headers, mark=entries["payload"].mark)


def _headers(platform: Platform, node: Node, problems: Problems) -> tuple[tuple[str, Text], ...]:
    traits = traits_of(platform)
    if not traits.headers:
        hint = traits.header_advice if node.value else ""
        problems.add(node, "this platform has no headers for a payload", hint, mark=node.key_mark)
        return ()
    if not isinstance(node.value, dict):
        problems.add(node, "expected headers by name")
        return ()
    headers = []
    for name, entry in node.value.items():
        if not traits.takes_header(name) or not _HEADER_NAME.fullmatch(name):
            other = _service_of(name)
            hint = f"this is a header of {other}" if other and not traits.takes_header(name) else ""
            problems.add(entry, f"expected {_known_headers(traits)}", hint, mark=entry.key_mark)
        elif (text := template(entry, problems)) is not None:
            headers.append((name, text.spelled_by(_header_value)))
    return tuple(headers)


def _service_of(header: str) -> str:
    """The service that takes a header of this name; MPNS, which is retired, would take nearly any."""
    return next((each.platform.value for each in services() if not each.retired and each.takes_header(header)), "")


def _known_headers(traits: Traits) -> str:
    if traits.header_prefix:
        return f"a header beginning with {traits.header_prefix.lower()}"
    return f"one of the headers {', '.join(traits.header_names)}"


def _header_value(value: Any) -> str:
    text = text_of(value)
    if CONTROLS.search(text):
        raise RenderError("holds a control character, which no header may")
    return text


def _payload(platform: Platform, node: Node, problems: Problems) -> Payload | None:
    traits, text = traits_of(platform), node.value
    if isinstance(text, str) and traits.payload is PayloadKind.XML and not text.lstrip().startswith(("{", "[")):
        return _xml(text, node, problems) if text.lstrip().startswith("<") else _raw(node, problems)
    parsed = payload_node(node, problems)
    if parsed is None:
        return None
    node = parsed
    if not isinstance(node.value, dict):
        problems.add(node, "expected an object, or a text that is one in JSON")
        return None
    root = traits.payload_root
    if root and root not in node.value:
        problems.add(node, f"expected the key {root}, which holds all the others", traits.payload_reference)
        return None
    tree = _tree(node, problems, traits.wants_text)
    try:
        json_of(tree)
    except RenderError as error:
        problems.add(node, str(error))
        return None
    return JsonPayload(frozen(tree))


def payload_node(node: Node, problems: Problems) -> Node | None:
    """A JSON payload as nodes, also where it is written as one text; None after complaining."""
    if not isinstance(node.value, str):
        return node
    try:
        return _node_of(json.loads(node.value, parse_constant=_no_json, parse_float=_finite), node)
    except ValueError as error:
        problems.add(node, f"not JSON: {error}")
    except RecursionError:
        problems.add(node, "nested too deep")
    return None


def _no_json(constant: str) -> float:
    raise ValueError(f"{constant} is not part of it")


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError("a number out of range")
    return value


def _node_of(value: Any, node: Node) -> Node:
    """A value out of a JSON text, as if it stood in the configuration at the place of the text."""
    match value:
        case dict():
            value = {key: _node_of(entry, node) for key, entry in value.items()}
        case list():
            value = [_node_of(item, node) for item in value]
    text = "" if isinstance(value, dict | list) else str(value)
    written = text if node.written == node.text else node.written  # something was filled in, which is not shown
    return Node(key=node.key, mark=node.mark, key_mark=node.key_mark, value=value, text=text, written=written)


def _tree(node: Node, problems: Problems, is_text: Callable[[Path], bool] | None, path: Path = ()) -> Any:
    """The value of a node, a part for each string with placeholders; where `is_text`, numbers and booleans are texts."""
    match node.value:
        case dict() as entries:
            for key, entry in entries.items():
                if "{{" in key:
                    problems.add(entry, "a key has no placeholders", mark=entry.key_mark)
            return {key: _tree(entry, problems, is_text, (*path, key)) for key, entry in entries.items()}
        case list() as items:
            return [_tree(item, problems, is_text, path) for item in items]
        case str() as string:
            text = template(node, problems)
            if text is None or not text.placeholders:
                return string
            return part_of_text(text, stays_text=is_text is not None and is_text(path))
        case bool() | int() | float() as scalar if is_text is not None and is_text(path):
            return text_of(scalar) if isinstance(scalar, bool) else node.text
        case scalar:
            return scalar


def _xml(text: str, node: Node, problems: Problems) -> TextPayload | None:
    from lxml import etree  # 6 MB, for rules with such payloads

    compiled = template(node, problems)
    if compiled is None:
        return None
    word = "placeholder"
    while word in text:
        word += "_"
    try:
        _parsed(_with_word(compiled, word))
    except etree.XMLSyntaxError as error:
        problems.add(node, f"not XML: {error.msg}")
        return None
    if "<!DOCTYPE" in text or _escapable_placeholders(compiled, word) < len(compiled.placeholders):
        problems.add(node, "a placeholder may stand in a text or an attribute's value only, and there is no DOCTYPE")
        return None
    return TextPayload(compiled.spelled_by(_xml_value))


def _parsed(document: bytes) -> Any:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(document, parser)


def _with_word(compiled: Text, word: str) -> bytes:
    return "".join(piece if isinstance(piece, str) else word for piece in compiled.pieces).encode()


def _escapable_placeholders(compiled: Text, word: str) -> int:
    """How many placeholders stand where what is escaped is read back: not in names, comments, instructions and CDATA."""
    from lxml import etree

    try:
        root = _parsed(_with_word(compiled, f"{word}&lt;"))
    except etree.XMLSyntaxError:
        return 0
    attributes = (value for element in root.iter(etree.Element) for value in element.attrib.values())
    return sum(text.count(f"{word}<") for text in (*attributes, *root.itertext()))


def _raw(node: Node, problems: Problems) -> TextPayload | None:
    compiled = template(node, problems)
    return None if compiled is None else TextPayload(compiled)


def _xml_value(value: Any) -> str:
    text = text_of(value)
    escaped = escape_xml(text)
    if escaped != text and not fits_xml(text):  # most texts need neither: one look is enough
        raise RenderError("holds a character that XML does not allow")
    return escaped
