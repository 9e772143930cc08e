"""Bytes that a publisher sent as a value, as text or as what they are (pure)."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def text_or_bytes(value: bytes) -> str | bytes:
    """A binary value: text when it is UTF-8 without control characters, as some clients write text so; else as it is."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return value if _CONTROL.search(text) else text


def shown(value: bytes | str) -> str:
    """What has to be text, such as an id or the name of a header; a byte that is not UTF-8 shows as `\\xff`."""
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")
