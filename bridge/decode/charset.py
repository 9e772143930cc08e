"""Bytes to text, by the charset that a body is in."""

import codecs
import re

from bridge.errors import EventError, Reason

_CHARSETS = frozenset(
    ["ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "big5", "euc_jp", "euc_kr", "gb18030", "gb2312"]
    + ["gbk", "koi8-r", "shift_jis"]
    + [f"cp125{n}" for n in range(9)]
    + [f"iso8859-{n}" for n in range(1, 17) if n != 12]
)
"""Character sets only: Python knows other codecs as well, and a sender shall not choose `unicode_escape`."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_CHARSET_PARAMETER = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)


def declared_charset(content_type: str | None) -> str | None:
    """The charset that a content type names, if any; nobody has checked that there is such a one."""
    declared = _CHARSET_PARAMETER.search(content_type or "")
    return None if declared is None else declared[1]


def text_of(body: bytes, content_type: str | None) -> str:
    """What the bytes say. Raises: EventError: they are not of their charset, or that is not supported."""
    charset = _charset(body, content_type)
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        raise EventError(Reason.DECODE, f"not {charset} at byte {error.start}") from error


def _charset(body: bytes, content_type: str | None) -> str:
    """A byte order mark is sure, the declared charset is a claim, UTF-8 is the default (RFC 7303, section 3)."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return charset
    declared = declared_charset(content_type)
    if declared is None:
        return "utf-8"
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):  # ValueError: not even the form of a name
        name = ""
    if name not in _CHARSETS:
        raise EventError(Reason.DECODE, "the content type declares a charset that is not supported")
    return name
