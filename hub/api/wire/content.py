"""A send's body and headers turned to content (Notification Hubs REST API, "Send a native/template notification")."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.api.request import json_object
from hub.content.bodies import xml_root
from hub.content.templates import WNS_TYPES
from hub.errors import InvalidRequestError
from hub.exact_json import dumps, plain
from hub.notification import Content, NativeContent, Platform, TemplateContent
from hub.platforms.fcm.body import v1_body

TEMPLATE = "template"
FORMATS = {
    "apple": Platform.APNS,
    "fcmv1": Platform.FCM,
    # Google's legacy API is gone; what its bodies still mean goes out by FCM v1.
    "gcm": Platform.FCM,
    "windows": Platform.WNS,
}
WIRE_NAMES = {Platform.APNS: "apple", Platform.FCM: "fcmv1", Platform.WNS: "windows"}
"""The format as the service names it in its answers."""

_NOT_YET = frozenset({"windowsphone", "adm", "baidu", "browser", "xiaomi", "nokiax"})


def format_of(given: str, headers: Mapping[str, str], body: bytes) -> str:
    """The format in lower case: what the header says, else what the rest looks like.

    One SDK drops the header when an Apple notification has headers of its own.

    Raises: InvalidRequestError: unknown.
    """
    name = given.strip().lower()
    known = ", ".join((*FORMATS, TEMPLATE))
    if name in _NOT_YET:
        raise InvalidRequestError(f"The format {name} is not supported yet; supported are {known}")
    if name and name != TEMPLATE and name not in FORMATS:
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
    match platform:
        case Platform.APNS:
            json_object(body)
            own = _beginning("apns-", headers)
            if "x-apns-priority" in headers:
                own.setdefault("apns-priority", headers["x-apns-priority"])
            return NativeContent(platform=platform, payload=body, headers=own)
        case Platform.FCM:
            return NativeContent(platform=platform, payload=v1_body(_text(body)).encode())
        case Platform.WNS:
            own = _beginning("x-wns-", headers)
            if "x-wns-type" not in own:
                own["x-wns-type"] = _wns_type(headers, body)
            elif own["x-wns-type"].strip().lower() != "wns/raw":
                xml_root(_text(body))
            return NativeContent(platform=platform, payload=body, headers=own)


def _wns_type(headers: Mapping[str, str], body: bytes) -> str:
    if headers.get("content-type", "").startswith("application/octet-stream"):
        return "wns/raw"
    root = xml_root(_text(body))
    if root not in WNS_TYPES:
        raise InvalidRequestError(f"X-WNS-Type is missing, and {root!r} is neither toast, tile nor badge")
    return WNS_TYPES[root]


def _beginning(prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(prefix)}


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"The body is not UTF-8: {error}") from error
