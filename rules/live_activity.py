"""`push.live_activity`: an update of a Live Activity as a rule says it, made a payload for APNs (Apple, "ActivityKit")."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rules import models
from rules.node import Node
from rules.problems import Problems
from rules.reading import fields

KEY: Final = "live_activity"
_APNS: Final = "apns"
_NOW: Final = "{{ time | epoch }}"
"""Phones take no update that is older than the one they show: an event's own time orders updates as they happened."""


def spelled_out(entries: Mapping[str, Node], problems: Problems) -> dict[str, Node]:
    """The keys of a push with `live_activity` as the native payload, and with a channel as the audience, that it means."""
    node = entries[KEY]
    rest = {name: entry for name, entry in entries.items() if name != KEY}
    given = fields(node, problems, models.LiveActivity)
    events = [name for name in ("start", "update", "end") if name in given]
    if len(events) != 1:
        problems.add(node, "expected one of start, update and end", "update: { … } with the state that the app shows")
        return rest
    event = events[0]
    channel = given.get("channel")
    if channel is not None:
        if "to" in rest:
            problems.add(channel, "a channel is the audience: there is to as well", mark=channel.key_mark)
        if event == "start":
            problems.add(channel, "a broadcast starts no activity", "start it on the phones of an audience: to")
        rest["to"] = _of(channel, {"installation": channel})
    native = rest.get("native")
    of_others = native.value if native is not None and isinstance(native.value, dict) else {}
    if _APNS in of_others:
        problems.add(of_others[_APNS], "live_activity is the payload for apns", mark=of_others[_APNS].key_mark)
    more = given.get("aps")
    aps = {
        "timestamp": _text(node, _NOW),
        "event": _text(node, event),
        "content-state": given[event],
        **(more.value if more is not None and isinstance(more.value, dict) else {}),
    }
    payload = _of(node, {"aps": _of(node, aps)})
    headers = _of(node, {"apns-push-type": _text(node, "liveactivity")})
    rest["native"] = _of(node, {**of_others, _APNS: _of(node, {"payload": payload, "headers": headers})})
    return rest


def _of(place: Node, value: dict[str, Node]) -> Node:
    return replace(place, value=value, text="", written="")


def _text(place: Node, text: str) -> Node:
    return replace(place, value=text, text=text, written=text)
