"""What FCM refuses (Firebase, "REST Resource: projects.messages")."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hub.platforms.advice import Complaints, Written, check_size, has_placeholder, value_size
from hub.platforms.apns import advice as apns
from hub.platforms.fcm.body import MAX_PAYLOAD, TARGETS, fcm_name
from hub.platforms.fcm.hints import MAX_TTL
from hub.spelling import did_you_mean

Kind = Callable[[Written, Complaints], None]
Schema = Mapping[str, Any]
"""Fields by their names in snake case; each is a Kind or a Schema."""


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`; what a message holds for APNs goes by the rules of APNs."""
    message = payload.value.get("message")
    if message is None:
        return  # complained of as it was compiled
    if not isinstance(message.value, dict):
        complaints.add(message, "expected an object", "write message: { notification: { title: … } }")
        return
    _check_object(payload, _REQUEST, complaints)
    size = sum(value_size(message.value[name]) for name in ("data", "notification", "android") if name in message.value)
    check_size(size, MAX_PAYLOAD, message, complaints)
    for_apple = message.value.get("apns")
    if for_apple is not None and isinstance(for_apple.value, dict):
        headers = _by_lower_case(for_apple.value.get("headers"))
        if "payload" in for_apple.value:
            apns.check_payload(for_apple.value["payload"], headers, complaints)
        else:
            apns.check_headers(headers, complaints)


def _by_lower_case(node: Written | None) -> Mapping[str, Written]:
    return {name.lower(): entry for name, entry in node.value.items()} if node and isinstance(node.value, dict) else {}


def _check_object(node: Written, schema: Schema, complaints: Complaints) -> None:
    if has_placeholder(node) or node.value is None:
        return
    if not isinstance(node.value, dict):
        complaints.add(node, f"expected an object with keys such as {', '.join(list(schema)[:3])}")
        return
    for name, entry in node.value.items():
        kind = schema.get(fcm_name(name))
        if kind is None:
            cure = _LEGACY.get(fcm_name(name)) or did_you_mean(fcm_name(name), schema, all_if_few=False)
            complaints.add(entry, "FCM knows no such field and refuses the message", cure, mark=entry.key_mark)
        elif callable(kind):
            if kind is _target or not (has_placeholder(entry) or entry.value is None):
                kind(entry, complaints)
        else:
            _check_object(entry, kind, complaints)


def _target(node: Written, complaints: Complaints) -> None:
    complaints.add(
        node, "cannot be given: the hub sends to the phones of the audience", "push.to names them", mark=node.key_mark
    )  # fmt: skip


def _text(pattern: str = "(?s).*", words: str = "") -> Kind:
    def check(node: Written, complaints: Complaints) -> None:
        if isinstance(node.value, dict | list):
            complaints.add(node, "expected a text")
        elif not re.fullmatch(pattern, node.text):
            complaints.add(node, f"expected {words}")

    return check


def _texts(node: Written, complaints: Complaints) -> None:
    if not isinstance(node.value, list):
        complaints.add(node, "expected a list of texts")


def _boolean(node: Written, complaints: Complaints) -> None:
    if not isinstance(node.value, bool):
        complaints.add(node, "expected true or false, without quotes")


def _integer(node: Written, complaints: Complaints) -> None:
    if isinstance(node.value, bool) or not re.fullmatch(r"-?\d{1,10}", node.text):
        complaints.add(node, "expected a whole number")


def _object(node: Written, complaints: Complaints) -> None:
    if not isinstance(node.value, dict):
        complaints.add(node, "expected an object")


def _choice(prefix: str, names: str, *, any_case: bool = False) -> Kind:
    known = [prefix + name for name in names.split()]

    def check(node: Written, complaints: Complaints) -> None:
        text = node.text.lower() if any_case else node.text
        if isinstance(node.value, dict | list) or text not in known:
            complaints.add(
                node, f"expected one of {', '.join(known)}", did_you_mean(node.text, known, all_if_few=False)
            )

    return check


def _ttl(node: Written, complaints: Complaints) -> None:
    number = re.fullmatch(r"(\d+(?:\.\d{1,9})?)(s?)", node.text, re.ASCII)
    if number is None or not number[2]:
        hint = f'write "{node.text}s", or push.ttl' if number else "push.ttl takes 30s, 6h or 7d"
        complaints.add(node, "expected seconds and s, such as 3600s", hint)
    elif float(number[1]) > MAX_TTL:
        complaints.add(node, f"FCM keeps a message for {MAX_TTL}s at most, four weeks")


def _map(node: Written, complaints: Complaints) -> None:
    if not isinstance(node.value, dict):
        complaints.add(node, "expected texts by name")
        return
    for entry in node.value.values():
        if entry.value is None:
            complaints.add(entry, "is null, and FCM takes texts only", "leave the key out", mark=entry.key_mark)
        elif isinstance(entry.value, dict | list):
            complaints.add(entry, "FCM takes texts only here", 'write one text of JSON: \'{ "a": "{{ data.a }}" }\'')


def _data(node: Written, complaints: Complaints) -> None:
    _map(node, complaints)
    for key, entry in node.value.items() if isinstance(node.value, dict) else ():
        if key in ("from", "message_type", "google", "gcm") or key.startswith(("google.", "gcm.")):
            complaints.add(
                entry,
                "FCM keeps this key for itself and refuses the message",
                "give it another name",
                mark=entry.key_mark,
            )
        elif key.startswith(("google", "gcm")):
            complaints.warn(
                entry, "FCM keeps keys that begin so for itself", "give it another name", mark=entry.key_mark
            )


def _webpush_headers(node: Written, complaints: Complaints) -> None:
    _map(node, complaints)
    rules = {
        "ttl": (r"\d{1,10}", "seconds"),
        "urgency": ("very-low|low|normal|high", "one of very-low, low, normal, high"),
        "topic": (r"[A-Za-z0-9_-]{1,32}", "up to 32 letters, digits, - and _"),
    }
    for name, entry in node.value.items() if isinstance(node.value, dict) else ():
        if name.lower() in rules and not has_placeholder(entry):
            _text(*rules[name.lower()])(entry, complaints)


def _paths() -> Iterator[tuple[str, Kind]]:
    text = _text()
    yield from dict.fromkeys(
        ("title", "body", "icon", "sound", "tag", "click_action", "body_loc_key", "title_loc_key", "channel_id", "ticker",
         "event_time", "image"), text,
    ).items()  # fmt: skip
    yield from dict.fromkeys(("body_loc_args", "title_loc_args", "vibrate_timings"), _texts).items()
    yield from dict.fromkeys(
        ("sticky", "local_only", "default_sound", "default_vibrate_timings", "default_light_settings"), _boolean
    ).items()
    yield "color", _text("#[0-9a-fA-F]{6}", "a color such as #ff8800")
    yield "notification_priority", _choice("PRIORITY_", "UNSPECIFIED MIN LOW DEFAULT HIGH MAX")
    yield "visibility", _choice("", "VISIBILITY_UNSPECIFIED PRIVATE PUBLIC SECRET")
    yield "proxy", _choice("", "PROXY_UNSPECIFIED ALLOW DENY IF_PRIORITY_LOWERED")
    yield "notification_count", _integer
    yield "light_settings", _object


_LABEL = _text(r"[a-zA-Z0-9-_.~%]{1,50}", "up to 50 letters, digits and - _ . ~ %")
_MESSAGE: Schema = {
    "notification": dict.fromkeys(("title", "body", "image"), _text()),
    "data": _data,
    "android": {
        **dict.fromkeys(("collapse_key", "restricted_package_name"), _text()),
        "priority": _choice("", "normal high", any_case=True),
        "ttl": _ttl,
        "data": _data,
        "notification": dict(_paths()),
        "fcm_options": {"analytics_label": _LABEL},
        **dict.fromkeys(("direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"), _boolean),
    },
    "apns": {
        "headers": _map,
        "payload": _object,
        "live_activity_token": _text(),
        "fcm_options": {"analytics_label": _LABEL, "image": _text()},
    },
    "webpush": {
        "headers": _webpush_headers,
        "data": _map,
        "notification": _object,
        "fcm_options": {"link": _text("https://.+", "an address with https://"), "analytics_label": _LABEL},
    },
    "fcm_options": {"analytics_label": _LABEL},
    "name": _text(),
    **dict.fromkeys(TARGETS, _target),
}
_REQUEST: Schema = {"message": _MESSAGE, "validate_only": _boolean}
_LEGACY: Mapping[str, str] = {
    **dict.fromkeys(("to", "registration_ids"), "push.to names the audience"),
    "time_to_live": "android.ttl, or push.ttl",
    "collapse_key": "android.collapse_key, or push.collapse",
    "priority": "android.priority, or push.priority",
    "ttl": "android.ttl, or push.ttl",
    "content_available": "apns.payload.aps.content-available",
    "mutable_content": "apns.payload.aps.mutable-content",
    "badge": "apns.payload.aps.badge, android.notification.notification_count",
    **{key: f"android.notification.{key}" for key in ("sound", "icon", "click_action", "color", "tag", "channel_id")},
}
"""Where what the legacy API had at the top stands in HTTP v1."""
