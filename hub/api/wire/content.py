"""A send's body and headers turned to content (Notification Hubs REST API, "Send a native/template notification")."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.api.request import json_object
from hub.errors import InvalidRequestError
from hub.exact_json import dumps, plain
from hub.notification import Content, Platform, TemplateContent
from hub.platforms.table import platforms, traits_of
from hub.platforms.traits import PayloadKind

TEMPLATE = "template"


def platform_of(format_name: str) -> Platform | None:
    """The platform of a native send's format in lower case; None for a format that is none."""
    return _platforms().get(format_name)


def _platforms() -> dict[str, Platform]:
    return {name: each.platform for each in platforms() for name in (each.wire_format, *each.other_formats)}


def format_of(given: str, headers: Mapping[str, str], body: bytes) -> str:
    """The format in lower case: what the header says, else what the rest looks like.

    One SDK drops the header when an Apple notification has headers of its own.

    Raises: InvalidRequestError: unknown.
    """
    name = given.strip().lower()
    formats = _platforms()
    known = ", ".join((*formats, TEMPLATE))
    if name and name != TEMPLATE and name not in formats:
        raise InvalidRequestError(f"Unknown format {given[:60]!r}; supported are {known}")
    if name:
        return name
    is_apple = any(header.startswith("apns-") for header in headers) or "aps" in json_object(body)
    return "apple" if is_apple else TEMPLATE


def template_content(body: bytes) -> TemplateContent:
    """A flat JSON object; numbers become plain decimal text, truth values and nested ones their JSON text.

    Null is left out.

    Raises: InvalidRequestError.
    """
    properties = json_object(body)
    return TemplateContent(
        properties={name: _property(name, value) for name, value in properties.items() if value is not None}
    )


def _property(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return plain(value)
        return dumps(value, wide=True).decode()
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"The property {name[:120]!r} cannot be written as text: {error}") from error


def native_content(platform: Platform, headers: Mapping[str, str], body: bytes) -> Content:
    """The body for one push service with the headers meant for it; `headers` are the request's, in lower case.

    Raises: InvalidRequestError.
    """
    traits = traits_of(platform)
    if traits.payload is PayloadKind.JSON and not traits.payload_root:
        json_object(body)
    return traits.native_content(headers, body)
