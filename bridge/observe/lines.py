"""What lines of the log on different subjects have in common."""

from typing import Any

from hub.notification import Notification
from hub.trace_context import trace_id_of

MAX_REASON = 200
"""Characters of what a service said: its words are not ours, and their length neither."""


def about(notification: Notification) -> dict[str, Any]:
    """What names a notification on every line about it."""
    said = {
        "event_id": notification.event_id,
        "notification_id": notification.id,
        "source": notification.source,
        "rule": notification.rule,
        "hub": notification.hub,
    }
    if notification.trace:
        said["trace_id"] = trace_id_of(notification.trace)
    return said
