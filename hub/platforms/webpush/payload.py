"""What a browser is told: Declarative Web Push (W3C Push API, "declarative push message"), readable by old service workers.

A browser that knows it shows the notification by itself. Every other one hands the same JSON to the site's service worker.
"""

from collections.abc import Mapping
from typing import Any, Final

from hub import exact_json
from hub.platforms.webpush.sizes import MAX_MESSAGE

DECLARED: Final = 8030
"""What `web_push` says in a declarative message: the number of the RFC."""

_MEMBERS: Final = (
    "title", "body", "navigate", "tag", "lang", "dir", "image", "icon", "badge", "vibrate", "timestamp", "renotify",
    "silent", "requireInteraction", "data", "actions",
)  # fmt: skip
"""Members of `notification`; a site's own JSON often has them at its top."""


def message_of(payload: bytes, *, tag: str = "", navigate: str | None = None, declarative: bool = True) -> bytes:
    """The message of a payload: declarative where it has a title and it is known where a click leads.

    What the payload says itself stays, at its place. `tag` is what a later notification replaces this one by, `navigate`
    where a click leads, unless the payload says so. A payload that shows nothing, is no JSON object or would grow too
    large stays as it is.
    """
    try:
        document = exact_json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(document, dict) or not title_of(document):
        return payload
    inner = document.get("notification")
    notification = dict(inner) if isinstance(inner, Mapping) else {}
    if declarative and "web_push" not in document:
        notification = {name: document[name] for name in _MEMBERS if name in document} | notification
        if navigate is not None:
            notification.setdefault("navigate", navigate)
        if "navigate" in notification:
            document = {"web_push": DECLARED, **document}
        elif not isinstance(inner, Mapping):
            return payload
    if not notification:
        return payload
    if tag:
        notification.setdefault("tag", tag)
    made = exact_json.dumps({**document, "notification": notification}, wide=True)
    return made if len(made) <= MAX_MESSAGE else payload


def title_of(document: Mapping[str, Any]) -> str:
    """The title of a payload's notification; empty for one that shows nothing."""
    inner = document.get("notification")
    for place in (inner, document):
        title = place.get("title") if isinstance(place, Mapping) else None
        if isinstance(title, str) and title:
            return title
    return ""


def silence(document: dict[str, Any]) -> None:
    """Have what a payload shows make no sound."""
    if not title_of(document):
        return
    inner = document.get("notification")
    place = inner if isinstance(inner, dict) else document
    place["silent"] = True
    place.pop("vibrate", None)  # with `silent` it is an error


def is_silent(payload: bytes) -> bool:
    """Whether a payload is for the service worker alone."""
    try:
        document = exact_json.loads(payload)
    except ValueError:
        return True
    return not isinstance(document, dict) or not title_of(document)
