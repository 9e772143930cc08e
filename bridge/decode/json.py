"""JSON bodies (RFC 8259)."""

import codecs
from typing import Any

import orjson

from bridge.decode.base import MAX_DEPTH, DecodeSettings, Reader
from bridge.decode.charset import byte_order, charset_named, declared_charset, seen, text_of
from bridge.errors import EventError, Reason
from hub.exact_json import loads

MAX_CONTAINERS = 250_000
"""Objects and arrays of one body: nothing else runs while the library makes them, 30 ms for as many (measured)."""


def read_json(body: bytes, content_type: str | None = None, encoding: str | None = None) -> Any:
    """The value a JSON text holds.

    UTF-8 is tried first, whatever `content_type` declares (RFC 8259, section 8.1), then what the bytes, the content type
    or `encoding` (a setting) name; a byte order mark is passed over, and so are zero bytes at the end, which programs in C
    send along with a text. NaN, infinities and lone surrogates are refused. Of
    repeated names the last one counts. Numbers are exact, up to 308 digits before the point: one may be the id that tells
    two events apart. A body with more than MAX_CONTAINERS opening brackets is refused.

    Raises: EventError.
    """
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_CONTAINERS:
        raise EventError(Reason.TOO_LARGE, f"JSON with {brackets} opening brackets, the limit is {MAX_CONTAINERS}")
    try:
        value = loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        if (recoded := _in_utf_8(body, content_type, encoding)) is not None:
            return read_json(recoded)
        if body.endswith(b"\0") and byte_order(body) is None:
            return read_json(body.rstrip(b"\0"), content_type, encoding)
        raise EventError(Reason.DECODE, _complaint(body, error)) from error
    # Fewer brackets than levels allowed, the usual case, need no walk.
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise EventError(Reason.DECODE, f"JSON nested deeper than {MAX_DEPTH} levels")
    return value


class JsonReader:
    """Reads JSON of a source whose bodies may be in `encoding`."""

    def __init__(self, *, encoding: str) -> None:
        self._encoding = encoding

    def __call__(self, body: bytes, content_type: str | None = None) -> Any:
        """As `read_json`. Raises: EventError."""
        return read_json(body, content_type, self._encoding)


def _in_utf_8(body: bytes, content_type: str | None, encoding: str | None) -> bytes | None:
    """A body that is no JSON in UTF-8, in UTF-8, if there is a word that it is of another encoding."""
    sure = byte_order(body)
    declared = None if content_type is None else charset_named(declared_charset(content_type) or "")
    if sure is None and encoding is None and (declared is None or declared == "utf-8"):
        return None
    try:
        recoded = text_of(body, None if declared is None else content_type, encoding).encode()
    except (EventError, UnicodeEncodeError):
        return None
    return None if recoded in (body, body.removeprefix(codecs.BOM_UTF8)) else recoded


def _complaint(body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as bad:
        cure = seen(body) or "; if the body is in another encoding, decode.encoding names it, such as latin-1 or cp1252"
        return f"not UTF-8 at byte {bad.start} (0x{body[bad.start]:02x}){cure}"
    return f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"


def _is_deeper(value: Any, levels: int) -> bool:
    containers = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        containers = [
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, (dict, list))
        ]
        if not containers:
            return False
    return True


def reader(settings: DecodeSettings) -> Reader:
    """For `decode.format: json`."""
    return read_json if settings.encoding is None else JsonReader(encoding=settings.encoding)
