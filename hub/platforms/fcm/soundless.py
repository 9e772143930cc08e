"""A message of FCM without a sound (Firebase, "REST Resource: projects.messages")."""

from typing import Any

from hub.platforms.fcm.body import fcm_name
from hub.platforms.soundless import silence_aps

_SOUNDS = frozenset({"sound", "default_sound", "default_vibrate_timings", "vibrate_timings", "notification_priority"})


def silence(document: dict[str, Any]) -> None:
    """Have an Android phone show it at a low priority, woken when it suits the battery, and other phones without a sound.

    From Android 8 on the notification channel, which is the app's and its user's, decides on sound.
    """
    message = document.get("message")
    if not isinstance(message, dict):
        return
    android = message.setdefault("android", {})
    if isinstance(android, dict):
        android["priority"] = "NORMAL"
        shown = android.get("notification")
        if isinstance(shown, dict):
            for name in [name for name in shown if fcm_name(name) in _SOUNDS]:
                del shown[name]
        if isinstance(shown, dict) or "notification" in message:
            low = {"notification_priority": "PRIORITY_LOW", "default_sound": False, "default_vibrate_timings": False}
            android["notification"] = {**(shown if isinstance(shown, dict) else {}), **low}
    apns = message.get("apns")
    if isinstance(apns, dict) and isinstance(apns.get("payload"), dict):
        silence_aps(apns["payload"])
