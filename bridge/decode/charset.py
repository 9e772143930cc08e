"""Bytes to text, by the encoding that a body is in."""

import codecs
import re
from collections.abc import Mapping

from bridge.errors import EventError, Reason

_CHARSETS = frozenset(
    ["ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
    + ["big5", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk", "koi8-r", "koi8-u", "shift_jis", "cp932", "mac-roman"]
    + [f"cp125{n}" for n in range(9)]
    + [f"iso8859-{n}" for n in range(1, 17) if n != 12]
    + ["cp437", "cp850", "cp852", "cp855", "cp858", "cp866"]
    + ["cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"]  # EBCDIC
)
"""Character sets only: Python knows other codecs as well, and a sender shall not choose `unicode_escape`."""

_WITH_EURO = {"cp1141": "cp273", "cp1148": "cp500"}
"""EBCDIC code pages that Python lacks: those it has, with the euro for the currency sign."""

_EBCDIC = frozenset(["cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140", *_WITH_EURO])

_OTHER_NAME = re.compile(r"(?:ibm|ccsid|cp)[-_ ]?0*(\d{2,5})", re.IGNORECASE)

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_MARK_BEGINS = (b"\xef", b"\xff", b"\xfe")
_BY_ZEROS: Mapping[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}

_CHARSET_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"',]+)""", re.IGNORECASE)

_SEEN = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"Obj\x01", "an Avro file"),
    (b"\xac\xed\x00\x05", "a serialized Java object"),
    (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff", "a serialized .NET object"),
    (b"\x80\x04", "a Python pickle"),
    (b"%PDF-", "PDF"),
)


def charset_named(name: str) -> str | None:
    """Our name of a character set that goes by many; None if there is no such one here."""
    if (numbered := _OTHER_NAME.fullmatch(name.strip())) is not None:
        number = numbered[1].zfill(3)
        name = f"cp{number}"
        if name in _WITH_EURO:
            return name
    try:
        known = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):  # ValueError: not even the form of a name
        return None
    return known if known in _CHARSETS else None


def is_ebcdic(charset: str) -> bool:
    """Whether a character set is one of mainframes, by our name of it."""
    return charset in _EBCDIC


def python_charset(charset: str) -> str:
    """One that Python has, in which all characters of a set but the euro sign have the same bytes."""
    return _WITH_EURO.get(charset, charset)


def said_charset(body: bytes, content_type: str | None, encoding: str | None) -> str:
    """What a body is said to be written in, by the same words as `text_of` goes by, and none of them tried."""
    if (sure := byte_order(body)) is not None:
        return sure
    declared = declared_charset(content_type)
    return (None if declared is None else charset_named(declared)) or encoding or "utf-8"


def declared_charset(content_type: str | None) -> str | None:
    """The charset that a content type names, if any; nothing has checked that there is such a one."""
    if content_type is None:
        return None
    declared = _CHARSET_PARAMETER.search(content_type)
    return None if declared is None else declared[1]


def text_of(body: bytes, content_type: str | None, encoding: str | None = None) -> str:
    """What the bytes say.

    A byte order mark is sure. The declared charset is a claim; where the bytes are not of it, or nothing is declared,
    `encoding` (a setting) is tried, and UTF-8 is the default (RFC 7303, section 3). UTF-16 and UTF-32 are known by
    their zero bytes, too.

    Raises: EventError: they are not of their charset, or that is not supported.
    """
    sure = byte_order(body)
    if sure is not None:
        return _decoded(body, sure)
    claims = [name for name in (_claimed(content_type, encoding), encoding) if name is not None] or ["utf-8"]
    for claim in claims[:-1]:
        try:
            return _decoded(body, claim)
        except EventError:
            continue
    return _decoded(body, claims[-1], named=len(claims) > 1 or encoding is not None)


def byte_order(body: bytes) -> str | None:
    """The encoding by a byte order mark, or by where the zero bytes of the first two characters are (RFC 4627, 3)."""
    if body[:1] not in _MARK_BEGINS and b"\0" not in body[:4]:
        return None
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return charset
    return _BY_ZEROS.get(tuple(byte == 0 for byte in body[:4]))


def seen(body: bytes) -> str:
    """What a body that is no text looks like, in words; empty if there are none."""
    return next((f"; the body begins like {what}" for magic, what in _SEEN if body.startswith(magic)), "")


def _claimed(content_type: str | None, encoding: str | None) -> str | None:
    declared = declared_charset(content_type)
    if declared is None:
        return None
    name = charset_named(declared)
    if name is None and encoding is None:
        shown = f": {declared}" if re.fullmatch(r"[\w.-]{1,40}", declared, re.ASCII) else ""
        raise EventError(
            Reason.DECODE,
            f"the content type declares a charset that is not supported{shown}; decode.encoding names another",
        )
    return name


def _decoded(body: bytes, charset: str, *, named: bool = False) -> str:
    try:
        if charset in _WITH_EURO:
            return body.decode(_WITH_EURO[charset]).replace("\xa4", "€")
        return body.decode("utf-16-le" if charset == "utf-16" and not _has_mark(body) else charset)
    except UnicodeDecodeError as error:
        hint = (
            "" if named else "; if the body is in another encoding, decode.encoding names it, such as latin-1 or cp1252"
        )
        raise EventError(
            Reason.DECODE, f"not {charset} at byte {error.start} (0x{body[error.start]:02x}){seen(body) or hint}"
        ) from error


def _has_mark(body: bytes) -> bool:
    return body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
