"""Characters that a header cannot hold, text as it stands in an XML document, text cut short, and byte order marks."""

import codecs
import re
import unicodedata
from typing import Final

CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
"""Control characters of ASCII, as many as stand together: no value of a header has one (RFC 9110, section 5.5)."""

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile(r"[^ !#-%(-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Those, and what `_ESCAPES` names: one class of characters, as `re` takes three times as long for two."""

_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


def fits_xml(text: str) -> bool:
    """Whether XML 1.0 (section 2.2) can hold each character, escaped or not."""
    return _NOT_XML.search(text) is None


def escape_xml(text: str) -> str:
    """`text` for an element or a quoted attribute; characters that XML 1.0 cannot hold become U+FFFD."""
    return _SPECIAL.sub(_escape, text)


def _escape(character: re.Match[str]) -> str:
    return _ESCAPES.get(character[0], "\ufffd")


_MARKS_OF_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def without_mark(body: bytes) -> bytes:
    """A body without the byte order mark that Windows programs put in front, in UTF-8 where the mark is of UTF-16.

    What is no UTF-16 behind such a mark stays as it is.
    """
    if body.startswith(_MARKS_OF_UTF_16):
        try:
            return body.decode("utf-16").encode()
        except UnicodeError:
            return body
    return body.removeprefix(codecs.BOM_UTF8)


_ELLIPSIS: Final = "…"
_JOINER: Final = "\N{ZERO WIDTH JOINER}"


def cut_text(text: str, length: int) -> str:
    """A text of at most `length` characters, which ends with an ellipsis where something was left out.

    What belongs to one letter or picture, such as an accent or a joined emoji, is not parted.
    """
    if len(text) <= length:
        return text
    at = max(length - 1, 0)
    while at > 0 and (unicodedata.combining(text[at]) or _JOINER in text[at - 1 : at + 1] or _varies(text[at])):
        at -= 1
    return text[:at].rstrip() + _ELLIPSIS if length > 0 else ""


def _varies(character: str) -> bool:
    """Whether a character says how the one before it looks: a variation selector, or a skin colour."""
    return "\ufe00" <= character <= "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff"
