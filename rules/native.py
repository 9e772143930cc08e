"""`push.native`: a payload as it goes to one push service, with values in it.

Values are data wherever they stand: in JSON they become strings (or, where a string is nothing but one hole, the value
with its own type), in XML they are escaped, in headers control characters are refused.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any
from xml.sax.saxutils import escape

import orjson
from lxml import etree

from hub.notification import NativeContent, Platform
from rules import language
from rules.errors import RenderError
from rules.event import Event
from rules.expressions import Expression
from rules.match.patterns import Path
from rules.node import Node
from rules.numbers import is_number
from rules.problems import Problems
from rules.reading import fields, template
from rules.render import MAX_TEXT, Text, renderer
from rules.text import json_of, text_of

_HEADER_PREFIX = {Platform.APNS: "apns-", Platform.WNS: "x-wns-"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What no XML document may hold, escaped or not (XML 1.0, section 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A compiled payload and its headers for one platform."""

    platform: Platform
    payload: Callable[[Event], bytes]
    headers: tuple[tuple[str, Callable[[Event], str]], ...]

    def content(self, event: Event) -> NativeContent:
        """The payload with an event's values. Raises: RenderError."""
        return NativeContent(
            platform=self.platform,
            payload=self.payload(event),
            headers={name: render(event) for name, render in self.headers},
        )


def compile_native(platform: Platform, node: Node, problems: Problems) -> Native | None:
    """Compile `payload` and `headers` for one platform; None after complaining."""
    entries = fields(node, problems, language.NATIVE)
    headers = _headers(platform, entries["headers"], problems) if "headers" in entries else ()
    if "payload" not in entries:
        problems.add(node, "payload is missing", mark=node.key_mark)
        return None
    payload = _payload(platform, entries["payload"], problems)
    return None if payload is None else Native(platform=platform, payload=payload, headers=headers)


def _headers(platform: Platform, node: Node, problems: Problems) -> tuple[tuple[str, Callable[[Event], str]], ...]:
    prefix = _HEADER_PREFIX.get(platform)
    if prefix is None:
        hint = "what FCM is told stands in message.android, .apns and .webpush" if node.value else ""
        problems.add(node, "this platform has no headers for a payload", hint, mark=node.key_mark)
        return ()
    if not isinstance(node.value, dict):
        problems.add(node, "expected headers by name")
        return ()
    headers = []
    for name, entry in node.value.items():
        if not name.lower().startswith(prefix) or not _HEADER_NAME.fullmatch(name):
            other = next((there.value for there, begin in _HEADER_PREFIX.items() if name.lower().startswith(begin)), "")
            hint = f"this is a header of {other}" if other and not name.lower().startswith(prefix) else ""
            problems.add(entry, f"expected a header beginning with {prefix}", hint, mark=entry.key_mark)
        elif (text := template(entry, problems)) is not None:
            headers.append((name, renderer(text.pieces, _header_value)))
    return tuple(headers)


def _header_value(value: Any) -> str:
    text = text_of(value)
    if _CONTROL.search(text):
        raise RenderError("holds a control character, which no header may")
    return text


def _payload(platform: Platform, node: Node, problems: Problems) -> Callable[[Event], bytes] | None:
    text = node.value
    if isinstance(text, str) and platform is Platform.WNS and not text.lstrip().startswith(("{", "[")):
        return _xml(text, node, problems) if text.lstrip().startswith("<") else _raw(node, problems)
    parsed = payload_node(node, problems)
    if parsed is None:
        return None
    node = parsed
    if not isinstance(node.value, dict):
        problems.add(node, "expected an object, or a text that is one in JSON")
        return None
    if platform is Platform.FCM and "message" not in node.value:
        problems.add(
            node, "expected the key message, which holds all the others", "FCM HTTP v1, projects.messages.send"
        )
        return None
    tree = _tree(node, problems, is_fcm_text if platform is Platform.FCM else None)
    try:
        json_of(tree)
    except RenderError as error:
        problems.add(node, str(error))
        return None
    return _json(tree)


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


def fcm_name(name: str) -> str:
    """The name of a field of FCM in snake case: JSON of protocol buffers takes camel case too."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


_FCM_MAPS = (("data",), ("android", "data"), ("apns", "headers"), ("webpush", "data"), ("webpush", "headers"))
_FCM_TEXTS = frozenset(
    "title body image icon color sound tag click_action body_loc_key title_loc_key channel_id ticker event_time"  # noqa: SIM905 - a table
    " collapse_key priority ttl restricted_package_name analytics_label link body_loc_args title_loc_args".split()
)


def is_fcm_text(path: Path) -> bool:
    """Whether a value at a path below the payload has to be text for FCM, which refuses a number or a boolean there.

    `apns.payload` and `webpush.notification` are for other services: in them values keep their types.
    """
    below = tuple(map(fcm_name, path[1:]))
    if below[:-1] in _FCM_MAPS:
        return True
    is_foreign = below[:2] in (("apns", "payload"), ("webpush", "notification"))
    return bool(below) and not is_foreign and below[-1] in _FCM_TEXTS


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
    return Node(key=node.key, mark=node.mark, key_mark=node.key_mark, value=value, text=str(value))


def _tree(node: Node, problems: Problems, is_text: Callable[[Path], bool] | None, path: Path = ()) -> Any:
    """The value of a node, with a Text for each string that has holes; where `is_text`, numbers and booleans are texts."""
    match node.value:
        case dict() as entries:
            for key, entry in entries.items():
                if "{{" in key:
                    problems.add(entry, "a key has no holes", mark=entry.key_mark)
            return {key: _tree(entry, problems, is_text, (*path, key)) for key, entry in entries.items()}
        case list() as items:
            return [_tree(item, problems, is_text, path) for item in items]
        case str() as string:
            text = template(node, problems)
            if text is None or not text.holes:
                return string
            return _AlwaysText(text) if is_text is not None and is_text(path) else text
        case bool() | int() | float() as scalar if is_text is not None and is_text(path):
            return text_of(scalar) if isinstance(scalar, bool) else node.text
        case scalar:
            return scalar


@dataclass(frozen=True, slots=True)
class _AlwaysText:
    """A text that stays one when it is a single hole: the service takes no other type there."""

    text: Text


def _json(tree: Any) -> Callable[[Event], bytes]:
    if not _has_holes(tree):
        constant = json_of(tree)
        return lambda event: constant
    return lambda event: _bounded(json_of(_filled(tree, event)))


def _has_holes(tree: Any) -> bool:
    match tree:
        case dict():
            return any(map(_has_holes, tree.values()))
        case list():
            return any(map(_has_holes, tree))
        case _:
            return isinstance(tree, Text | _AlwaysText)


def _filled(tree: Any, event: Event) -> Any:
    match tree:
        case dict():
            return {key: _filled(value, event) for key, value in tree.items()}
        case list():
            return [_filled(value, event) for value in tree]
        case _AlwaysText(text):
            return text.render(event)
        case Text(pieces=(Expression() as whole,)):
            return _json_value(whole, event)
        case Text():
            return tree.render(event)
        case scalar:
            return scalar


def _json_value(expression: Expression, event: Event) -> orjson.Fragment:
    value = expression.evaluate(event)
    try:
        return orjson.Fragment(text_of(value) if is_number(value) else json_of(value))
    except RenderError as error:
        raise RenderError(f"{expression.text} {error}") from None


def _xml(text: str, node: Node, problems: Problems) -> Callable[[Event], bytes] | None:
    compiled = template(node, problems)
    if compiled is None:
        return None
    word = "hole"
    while word in text:
        word += "_"
    try:
        etree.fromstring(_with_holes(compiled, word), _PARSER)
    except etree.XMLSyntaxError as error:
        problems.add(node, f"not XML: {error.msg}")
        return None
    if "<!DOCTYPE" in text or _escapable_holes(compiled, word) < len(compiled.holes):
        problems.add(node, "a hole may stand in a text or an attribute's value only, and there is no DOCTYPE")
        return None
    return _encoded(renderer(compiled.pieces, _xml_value))


def _with_holes(compiled: Text, word: str) -> bytes:
    return "".join(piece if isinstance(piece, str) else word for piece in compiled.pieces).encode()


def _escapable_holes(compiled: Text, word: str) -> int:
    """How many holes stand where what is escaped is read back: not in names, comments, instructions and CDATA."""
    try:
        root = etree.fromstring(_with_holes(compiled, f"{word}&lt;"), _PARSER)
    except etree.XMLSyntaxError:
        return 0
    attributes = (value for element in root.iter(etree.Element) for value in element.attrib.values())
    return sum(text.count(f"{word}<") for text in (*attributes, *root.itertext()))


def _raw(node: Node, problems: Problems) -> Callable[[Event], bytes] | None:
    compiled = template(node, problems)
    return None if compiled is None else _encoded(compiled.render)


def _encoded(render: Callable[[Event], str]) -> Callable[[Event], bytes]:
    return lambda event: _bounded(render(event).encode())


def _xml_value(value: Any) -> str:
    text = text_of(value)
    if _NOT_XML.search(text):
        raise RenderError("holds a character that XML does not allow")
    return escape(text, {'"': "&quot;", "'": "&apos;"})


def _bounded(payload: bytes) -> bytes:
    if len(payload) > MAX_TEXT:
        raise RenderError(f"a payload of {len(payload)} bytes is too large, {MAX_TEXT} are allowed")
    return payload


_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
