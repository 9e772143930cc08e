"""Header fields for the wire: what callers give is data, and never becomes another header."""

import re
from collections.abc import Mapping

from hub.characters import CONTROLS

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token (RFC 9110, 5.6.2)

MAX_LINES = 4096
"""Bytes of all header lines of a push: a service may answer more by closing a connection that others share."""


class HeaderError(ValueError):
    """A header that is not sent: its name or value cannot be, or it is not the caller's to set."""


def given_fields(headers: Mapping[str, str], *, allowed: tuple[str, ...]) -> dict[str, str]:
    """The caller's headers by lower-case name, checked; `allowed` are beginnings of names. Blank values are left out.

    Spaces around a value are not part of it (RFC 9110, 5.5), and HTTP/2 refuses them (RFC 9113, 8.2.1).

    Raises: HeaderError: names the header.
    """
    fields = {}
    for name, value in headers.items():
        key = name.lower()
        if not _NAME.fullmatch(key) or not key.startswith(allowed):
            raise HeaderError(f"the header {name!r} cannot be set; allowed are {', '.join(allowed)}")
        if bare := value.strip(" \t"):
            fields[key] = bare
    return fields


def field_lines(fields: Mapping[str, str]) -> list[bytes]:
    """Lines for the transport; UTF-8.

    Raises: HeaderError: a control character, a character that UTF-8 has not, or too many bytes.
    """
    if CONTROLS.search("".join(fields.values())):  # one search for all: nearly always there is none
        name = next(name for name, value in fields.items() if CONTROLS.search(value))
        raise HeaderError(f"the header {name!r} has a control character in its value")
    try:
        lines = [f"{name}: {value}".encode() for name, value in fields.items()]
    except UnicodeEncodeError as error:
        name = error.object.partition(":")[0]
        raise HeaderError(f"the header {name!r} has a lone surrogate in its value") from error
    size = sum(map(len, lines))
    if size > MAX_LINES:
        raise HeaderError(f"headers of {size} bytes are too large, {MAX_LINES} are allowed")
    return lines
