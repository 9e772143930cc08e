"""What push services of browsers refuse, and what browsers do not show (RFC 8030; W3C Push API)."""

import re
from collections.abc import Mapping
from typing import Final

from hub.platforms.advice import Complaints, Written, check_size, has_placeholder, json_size
from hub.platforms.webpush.hints import MAX_TOPIC, URGENCIES
from hub.platforms.webpush.payload import DECLARED
from hub.platforms.webpush.sizes import MAX_MESSAGE

_VALUES: Final[Mapping[str, tuple[str, str, str]]] = {
    "ttl": (r"\d{1,10}", "seconds, as a whole number", "push.ttl takes 6h too"),
    "urgency": ("|".join(URGENCIES), f"one of {', '.join(URGENCIES)}", ""),
    "topic": (
        rf"[\w-]{{1,{MAX_TOPIC}}}",
        f"up to {MAX_TOPIC} letters, digits, - and _",
        "push.collapse is made to fit",
    ),
}


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    for name, node in headers.items():
        if name in _VALUES and "{{" not in node.text:
            pattern, words, cure = _VALUES[name]
            if not re.fullmatch(pattern, node.text, re.ASCII):
                complaints.add(node, f"expected {words}", cure)
    check_size(json_size(payload), MAX_MESSAGE, payload, complaints)
    entries = payload.value if isinstance(payload.value, dict) else {}
    notification = entries.get("notification")
    if notification is not None and has_placeholder(notification):
        return
    shown: Mapping[str, Written] = {}
    if notification is not None:
        if not isinstance(notification.value, dict):
            complaints.warn(notification, "expected an object", "write notification: { title: …, body: … }")
            return
        shown = notification.value
        if "title" not in shown and "title" not in entries:
            complaints.warn(notification, "title is missing, and a browser shows nothing by itself without it")
    _check_declaration(entries, shown, complaints)


def _check_declaration(entries: Mapping[str, Written], shown: Mapping[str, Written], complaints: Complaints) -> None:
    declared = entries.get("web_push")
    if declared is not None and not has_placeholder(declared) and declared.value != DECLARED:
        complaints.add(declared, f"web_push has one value, the number {DECLARED}", "leave it out: the hub writes it")
    if declared is not None and "navigate" not in shown:
        complaints.warn(
            declared,
            "notification.navigate is missing, and a browser that knows web_push ignores a message without",
            "leave web_push out: the hub writes it where it is known where a click leads",
        )
    navigate = shown.get("navigate")
    if navigate is not None and not has_placeholder(navigate) and not re.match(r"https?://", navigate.text):
        complaints.warn(navigate, "not the address of a page", "write https://HOST/PATH")
