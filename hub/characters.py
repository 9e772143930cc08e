"""Characters that a header cannot hold, and text as it stands in an XML document."""

import re
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
