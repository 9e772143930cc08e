"""Text as it stands in an XML document."""

import re

_SPECIAL = re.compile(r"""[&<>"'\t\n\r]|[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]""")
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


def escape_xml(text: str) -> str:
    """`text` for an element or a quoted attribute; characters that XML 1.0 (section 2.2) cannot hold become U+FFFD."""
    return _SPECIAL.sub(_escape, text)


def _escape(character: re.Match[str]) -> str:
    return _ESCAPES.get(character[0], "\ufffd")
