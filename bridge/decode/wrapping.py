"""What wraps a body: content codings, and .NET's serializer. Undone before any format reads the bytes."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace

from bridge.decode.charset import charset_named, declared_charset
from bridge.errors import EventError, Reason
from connectors.base import Message
from connectors.compression import CodingError, UnpackedTooLargeError, gunzipped, is_gzip, unpacked

_SERIALIZATION = b"http://schemas.microsoft.com/2003/10/Serialization/"
_MAX_LAYERS = 4
_SUSPECT = (b"\x1f", b"\x40")
"""The first bytes of gzip and of a serialized value: no other body is looked at twice."""

_IN_TEXT_WITHIN = 400
"""Bytes in which the text form of a serialized value names its namespace."""

_IN_TEXT = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(string|base64Binary)\s[^>]*\bxmlns\s*=\s*["']"""
    + re.escape(_SERIALIZATION)
    + rb"""["']"""
)


def may_be_wrapped(message: Message) -> bool:
    """Whether it is worth to look: of most bodies one byte says that nothing wraps them."""
    return (
        message.body[:1] in _SUSPECT
        or _SERIALIZATION in message.body[:_IN_TEXT_WITHIN]
        or "content_encoding" in message.properties
        or "content-encoding" in message.headers
    )


def unwrapped(message: Message, *, limit: int) -> Message:
    """The message with the body that was meant, of at most `limit` bytes; as it is if nothing wraps it.

    Undone are the codings that the property `content_encoding` or the header `content-encoding` names, gzip that
    nothing names, and the elements `string` and `base64Binary` of .NET's DataContractSerializer: in binary XML, as
    `BrokeredMessage` of older SDKs sends them, or in text. Where a sender names a charset in place of a coding, as
    clients of RabbitMQ do, and the content type names none, the content type has it in the answer.

    Raises: EventError.
    """
    body = message.body
    coding = message.properties.get("content_encoding") or message.headers.get("content-encoding")
    try:
        if coding is not None and isinstance(coding, str):
            body = unpacked(body, coding, limit=limit)
        for _ in range(_MAX_LAYERS):
            if is_gzip(body):
                body = gunzipped(body, limit=limit)
            elif _is_serialized(body):
                body = _deserialized(body)
            elif (kind := _IN_TEXT.match(body, 0, _IN_TEXT_WITHIN)) is not None:
                body = _from_text(body, kind[1])
            else:
                break
    except UnpackedTooLargeError as error:
        raise EventError(Reason.TOO_LARGE, str(error)) from None
    except CodingError as error:
        raise EventError(Reason.DECODE, str(error)) from None
    content_type = message.content_type
    if isinstance(coding, str) and declared_charset(content_type) is None and (charset := _charset_in(coding)):
        content_type = f"{content_type or ''}; charset={charset}"
    if body is message.body and content_type == message.content_type:
        return message
    return replace(message, body=body, content_type=content_type)


def _charset_in(codings: str) -> str | None:
    """The character set among the codings; those of Unicode are known by the bytes, and often named without being meant."""
    named = (charset_named(coding) for coding in codings.split(","))
    return next((name for name in named if name is not None and not name.startswith(("ascii", "utf-"))), None)


def _from_text(body: bytes, kind: bytes) -> bytes:
    """The text, in UTF-8, or the bytes in a `string` or `base64Binary` element of text. Raises: EventError."""
    from bridge.decode.xml import XmlReader

    text = XmlReader(root=None, types={})(body)
    value = text.get("#text", "") if isinstance(text, dict) else text
    if not isinstance(value, str):
        return b""  # an element that says that it is nil
    try:
        return value.encode() if kind == b"string" else base64.b64decode("".join(value.split()), validate=True)
    except ValueError:
        raise _refused("a value of .NET's serializer that is not base64") from None


def _is_serialized(body: bytes) -> bool:
    """Whether the body is an element with a namespace in binary XML (MC-NBFX, section 2.2.1); no text looks so."""
    behind_name = body[1] + 2 if len(body) > 1 else 0
    return len(body) > behind_name > 0 and body[0] == _SHORT_ELEMENT and body[behind_name] == _SHORT_XMLNS


_SHORT_ELEMENT, _SHORT_XMLNS, _END_ELEMENT = 0x40, 0x08, 0x01
_CONSTANTS = {0x80: b"0", 0x82: b"1", 0x84: b"false", 0x86: b"true", 0xA8: b""}
_INTEGER_SIZES = {0x88: 1, 0x8A: 2, 0x8C: 4, 0x8E: 8}
_UTF_8, _BYTES, _UTF_16 = {0x98: 1, 0x9A: 2, 0x9C: 4}, {0x9E: 1, 0xA0: 2, 0xA2: 4}, {0xB6: 1, 0xB8: 2, 0xBA: 4}
_LENGTH_SIZES = _UTF_8 | _BYTES | _UTF_16


def _deserialized(body: bytes) -> bytes:
    """The text, in UTF-8, or the bytes in a `string` or `base64Binary` element. Raises: EventError."""
    try:
        name, at = _counted(body, 1)
        if name not in (b"string", b"base64Binary"):
            raise _refused(f"a .NET object of the type {_shown(name)} in binary XML: send text, bytes or a stream")
        namespace, at = _counted(body, at + 1)
        if namespace != _SERIALIZATION:
            raise _refused("an element of another namespace than .NET's serializer in binary XML")
        return b"".join(_content(body, at))
    except IndexError:
        raise _refused("a value of .NET's serializer in binary XML that is cut off") from None


def _content(body: bytes, at: int) -> Iterator[bytes]:
    """The records up to the end of the element: long text is written in several (MC-NBFX, section 2.2.3)."""
    while True:
        record = body[at]
        at += 1
        if record == _END_ELEMENT:
            break
        is_last = bool(record & 1)  # "with end element"
        kind = record & ~1
        if kind in _CONSTANTS:
            yield _CONSTANTS[kind]
        elif kind in _INTEGER_SIZES:
            number, at = _slice(body, at, _INTEGER_SIZES[kind])
            yield str(int.from_bytes(number, "little", signed=True)).encode()
        elif kind in _LENGTH_SIZES:
            length, at = _slice(body, at, _LENGTH_SIZES[kind])
            content, at = _slice(body, at, int.from_bytes(length, "little"))
            yield _from_utf_16(content) if kind in _UTF_16 else content
        else:
            raise _refused("a value of .NET's serializer in binary XML that is neither text nor bytes")
        if is_last:
            break
    if at != len(body):
        raise _refused("a value of .NET's serializer in binary XML with more behind its end")


def _from_utf_16(content: bytes) -> bytes:
    try:
        return content.decode("utf-16-le").encode()
    except UnicodeError:
        raise _refused("a text of .NET's serializer in binary XML that is not UTF-16") from None


def _counted(body: bytes, at: int) -> tuple[bytes, int]:
    """A string behind its length in seven bits a byte (MC-NBFX, section 2.1.2)."""
    length = shift = 0
    while True:
        byte = body[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 28:
            raise IndexError
    return _slice(body, at, length)


def _slice(body: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(body):
        raise IndexError
    return body[at : at + length], at + length


def _shown(name: bytes) -> str:
    text = name.decode(errors="replace")[:60]
    return text if text.isidentifier() else "that is not known"


def _refused(detail: str) -> EventError:
    return EventError(Reason.DECODE, detail)
