"""Bodies of templates, cut into constant bytes and slots.

What is not an expression keeps its bytes; a value is escaped for the JSON or XML around it and never read as markup.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from hub.characters import escape_xml
from hub.content.expressions import EXPRESSION_BEGINS, Expression, parse_value
from hub.errors import TemplateError

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},]')
_JSON_COLON = re.compile(r"\s*:")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_XML_TOKEN = re.compile(
    r"<!--.*?-->|<\?.*?\?>|(?P<cdata><!\[CDATA\[.*?\]\]>)|(?P<end></[^>]*>)"
    r"""|(?P<start><(?:[^<>"']|"[^"]*"|'[^']*')*>)|(?P<text>[^<]+)""",
    re.DOTALL,
)
_XML_ATTRIBUTE = re.compile(r"""(?<=[\s"'])(?P<name>[^\s"'=<]+)\s*=\s*(?P<value>"[^"]*"|'[^']*')""")
"""Looked for behind a space or a quote: tried from each letter of a long name, it took the square of its length."""

_XML_MAY_BEGIN = EXPRESSION_BEGINS | {"&"}


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value goes: `encode` of what the expression yields."""

    expression: Expression
    encode: Callable[[str], bytes]


Piece = bytes | Slot


def json_pieces(body: str) -> list[Piece]:
    """A JSON object with slots among its string values, at any depth. Raises: TemplateError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TemplateError(f"body: it is no JSON: {error}", where="body") from error
    if not isinstance(document, dict):
        raise TemplateError("body: it has to be a JSON object", where="body")
    return _cut(body, _json_slots(body))


def _json_slots(body: str) -> Iterator[tuple[int, int, Slot]]:
    path: list[str | int] = []
    for token in _JSON_TOKEN.finditer(body):
        match token[0]:
            case "{":
                path.append("")
            case "[":
                path.append(0)
            case "}" | "]":
                path.pop()
            case ",":
                if isinstance(path[-1], int):
                    path[-1] += 1
            case text if _JSON_COLON.match(body, token.end()):
                path[-1] = orjson.loads(text)
            case text:
                literal = orjson.loads(text)
                if literal[:1] not in EXPRESSION_BEGINS:
                    continue  # most texts, whose path is not needed: it may be a thousand steps
                value = parse_value(literal, where=_json_path(path))
                if isinstance(value, Expression):
                    yield *token.span(), Slot(value, _json_number if value.is_number else orjson.dumps)


def _json_path(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _json_number(text: str) -> bytes:
    return text.encode() if _JSON_NUMBER.fullmatch(text) else orjson.dumps(text)


def raw_pieces(body: str) -> list[Piece]:
    """Any text: JSON with slots in it where it is JSON, else one value as a whole. Raises: TemplateError."""
    if _is_json(body):
        return _cut(body, _json_slots(body))
    value = parse_value(body, where="body")
    return [Slot(value, str.encode)] if isinstance(value, Expression) else [value.encode()]


def _is_json(body: str) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def xml_pieces(body: str) -> list[Piece]:
    """XML that is well-formed, with slots for attribute values and texts of leaf elements.

    Raises: TemplateError.
    """
    return _cut(body, _xml_slots(body))


def _xml_slots(body: str) -> Iterator[tuple[int, int, Slot]]:
    tokens = list(_XML_TOKEN.finditer(body))
    for at, token in enumerate(tokens):
        if token["start"]:
            for attribute in _XML_ATTRIBUTE.finditer(body, *token.span()):
                if attribute["value"][1:2] not in _XML_MAY_BEGIN:
                    continue
                value = _xml_value(f"<v v={attribute['value']}/>", attribute["name"])
                if value:
                    yield attribute.start("value") + 1, attribute.end("value") - 1, Slot(value, _xml_text)
        elif token["text"] or token["cdata"]:
            before, after = tokens[at - 1], tokens[(at + 1) % len(tokens)]
            if before["start"] and not before["start"].endswith("/>") and after["end"]:
                value = _xml_value(f"<v>{token[0]}</v>", before["start"])
                if value:
                    yield *token.span(), Slot(value, _xml_text)


def _xml_value(element: str, where: str) -> Expression | None:
    """The expression in an attribute or a text, which `element` holds alone: so XML resolves its references."""
    from lxml import etree

    root = etree.fromstring(element)
    value = parse_value(root.get("v") or root.text or "", where=where)
    return value if isinstance(value, Expression) else None


def _xml_text(text: str) -> bytes:
    return escape_xml(text).encode()


def _cut(body: str, slots: Iterable[tuple[int, int, Slot]]) -> list[Piece]:
    pieces: list[Piece] = []
    at = 0
    for start, end, slot in slots:
        pieces += [body[at:start].encode(), slot]
        at = end
    return [*pieces, body[at:].encode()]
