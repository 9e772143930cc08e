"""Plain text bodies, taken apart by a pattern."""

import codecs
import re
from typing import Any

from bridge.decode.pattern import PatternTimeoutError, compile_pattern
from bridge.errors import EventError, Reason

MAX_MATCHED = 64 * 1024
"""The longest text a pattern is tried on, in characters."""

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


class TextReader:
    """Reads a text, stripped of white space around it, into the named groups of a pattern that matches all of it.

    Groups that took no part in the match are left out. Without a pattern, the data is the text.
    """

    def __init__(self, *, pattern: str | None) -> None:
        """Raises: ValueError: not a pattern."""
        self._full_match = None if pattern is None else compile_pattern(pattern)

    def __call__(self, body: bytes, content_type: str | None) -> Any:
        """Raises: EventError."""
        text = _text_of(body, content_type).strip()
        if self._full_match is None:
            return text
        if len(text) > MAX_MATCHED:
            raise EventError(
                Reason.TOO_LARGE, f"the text has {len(text)} characters, a pattern is tried on at most {MAX_MATCHED}"
            )
        try:
            groups = self._full_match(text)
        except PatternTimeoutError:
            raise EventError(
                Reason.DECODE, f"the source's pattern takes too long on this text of {len(text)} characters"
            ) from None
        if groups is None:
            raise EventError(Reason.DECODE, f"the text of {len(text)} characters does not match the source's pattern")
        return {name: value for name, value in groups.items() if value is not None}


def _text_of(body: bytes, content_type: str | None) -> str:
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
    declared = _CHARSET_PARAMETER.search(content_type or "")
    if declared is None:
        return "utf-8"
    try:
        name = codecs.lookup(declared[1]).name
    except (LookupError, ValueError):  # ValueError: not even the form of a name
        name = ""
    if name not in _CHARSETS:
        raise EventError(Reason.DECODE, "the content type declares a charset that is not supported")
    return name
