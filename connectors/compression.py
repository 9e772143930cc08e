"""Content codings of bodies (RFC 9110, section 8.4), undone within a bound."""

import base64
import binascii
import re
import zlib

SUPPORTED = ("gzip", "deflate", "br", "zstd")
"""What a sender may compress with; `base64` and `identity` are undone as well."""

_UNSUPPORTED = frozenset(["compress", "x-compress", "lz4", "snappy", "bzip2", "dcb", "dcz"])
_GZIP_MAGIC = b"\x1f\x8b\x08"
_MAX_CODINGS = 4
_MAX_MEMBERS = 1000
_PIECE = 16 * 1024
_FULL = "failed to write whole buffer"
"""What cramjam says of a body that does not fit, in an error that has no class of its own."""

_PADDING = re.compile(rb"\0+")


class CodingError(ValueError):
    """A body that is not what its content coding says."""


class UnsupportedCodingError(CodingError):
    """A content coding that this program does not undo."""


class UnpackedTooLargeError(CodingError):
    """A body that grows beyond the limit as it is unpacked; nothing beyond the limit was held."""


def unpacked(body: bytes, content_encoding: str, *, limit: int) -> bytes:
    """The body without its codings, which are undone from the last to the first; at most `limit` bytes.

    What is no coding at all is passed over: senders write a charset there, such as `utf-8`.

    Raises: UnsupportedCodingError, UnpackedTooLargeError, CodingError: not of its coding, or cut off.
    """
    if not body:
        return body
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    if len(codings) > _MAX_CODINGS:
        raise CodingError(f"{len(codings)} content encodings, {_MAX_CODINGS} are allowed")
    for coding in reversed(codings):
        if coding in ("gzip", "x-gzip"):
            body = gunzipped(body, limit=limit)
        elif coding == "deflate":
            body = _inflated(body, limit)
        elif coding == "br":
            body = _filled(body, "br", limit)
        elif coding == "zstd":
            body = _filled(body, "zstd", limit)
        elif coding == "base64":
            body = _from_base64(body)
        elif coding in _UNSUPPORTED:
            raise UnsupportedCodingError(
                f"content encoding {coding} is not supported: send {', '.join(SUPPORTED)}, or none"
            )
    return body


def is_gzip(body: bytes) -> bool:
    """Whether a body begins as gzip does; no text in UTF-8 and no JSON or XML begins so."""
    return body.startswith(_GZIP_MAGIC)


def gunzipped(body: bytes, *, limit: int) -> bytes:
    """All members of a gzip body (RFC 1952, section 2.2). Raises: UnpackedTooLargeError, CodingError."""
    parts: list[bytes] = []
    view = memoryview(body)
    at = size = members = 0
    while at < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise CodingError(f"content encoding gzip: the body has more than {_MAX_MEMBERS} members")
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while at < len(body) and not member.eof:
            piece = view[at : at + _PIECE]  # what is behind a member is copied
            parts.append(_inflate(member, piece, "gzip", limit, limit - size))
            size += len(parts[-1])
            at += len(piece) - len(member.unused_data)
        _check_whole(member, "gzip")
        padding = _PADDING.match(body, at)  # some writers pad
        at = at if padding is None else padding.end()
    return b"".join(parts)


def _inflated(body: bytes, limit: int) -> bytes:
    """`deflate` is the zlib format; some senders leave its header out (RFC 9110, section 8.4.1.2)."""
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _decompressed(
        zlib.decompressobj(wbits=zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS), body, "deflate", limit, limit
    )


def _filled(body: bytes, coding: str, limit: int) -> bytes:
    """What is unpacked into a buffer of the limit's size: brotli (RFC 7932), or all frames of zstd (RFC 8878)."""
    import cramjam

    room = bytearray(limit)
    try:
        codec = cramjam.brotli if coding == "br" else cramjam.zstd
        size: int = codec.decompress_into(body, room)
    except cramjam.DecompressionError as error:
        if str(error) == _FULL:
            raise UnpackedTooLargeError(_beyond(limit)) from None
        raise CodingError(f"content encoding {coding}: the body is not {coding}, is cut off or damaged") from None
    return bytes(memoryview(room)[:size])


def _beyond(limit: int) -> str:
    return f"the unpacked body has more than {limit} bytes, which is the limit"


def _decompressed(member: "zlib._Decompress", body: bytes, coding: str, limit: int, room: int) -> bytes:
    whole = _inflate(member, body, coding, limit, room)
    _check_whole(member, coding)
    return whole


def _inflate(member: "zlib._Decompress", piece: bytes | memoryview, coding: str, limit: int, room: int) -> bytes:
    try:
        part = member.decompress(piece, room + 1)
    except zlib.error:
        raise CodingError(f"content encoding {coding}: the body is not {coding}, or is damaged") from None
    if len(part) > room:
        raise UnpackedTooLargeError(_beyond(limit))
    return part


def _check_whole(member: "zlib._Decompress", coding: str) -> None:
    if not member.eof:
        raise CodingError(f"content encoding {coding}: the body is cut off")


def _from_base64(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise CodingError("content encoding base64: the body is not base64") from None
