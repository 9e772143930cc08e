"""Header fields for the wire: what callers give is data, and never becomes another header."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token (RFC 9110, 5.6.2)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


MAX_GIVEN = 4096
"""Bytes of the caller's headers, names and values: a service may answer more by closing a connection that others share."""


class HeaderError(ValueError):
    """A header that is not sent: its name or value cannot be, or it is not the caller's to set."""


def given_fields(headers: Mapping[str, str], *, allowed: tuple[str, ...]) -> dict[str, str]:
    """The caller's headers by lower-case name, checked; `allowed` are beginnings of names. Empty values are left out.

    Raises: HeaderError: names the header.
    """
    size = sum(len(name) + len(value.encode("utf-8", "surrogatepass")) for name, value in headers.items())
    if size > MAX_GIVEN:
        raise HeaderError(f"headers of {size} bytes are too large, {MAX_GIVEN} are allowed")
    fields = {}
    for name, value in headers.items():
        key = name.lower()
        if not _NAME.fullmatch(key) or not key.startswith(allowed):
            raise HeaderError(f"the header {name!r} cannot be set; allowed are {', '.join(allowed)}")
        if value:
            fields[key] = value
    return fields


def field_lines(fields: Mapping[str, str]) -> list[bytes]:
    """Lines for the transport; UTF-8.

    Raises: HeaderError: a control character, whoever put it there.
    """
    lines = []
    for name, value in fields.items():
        if _CONTROL.search(value):
            raise HeaderError(f"the header {name!r} has a control character in its value")
        lines.append(f"{name}: {value}".encode())
    return lines
