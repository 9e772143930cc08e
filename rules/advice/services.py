"""What the push services refuse by their own documents, found in `push.native` before anything is sent.

Standards: Apple, "Sending notification requests to APNs" and "Generating a remote notification"; Firebase, "REST Resource:
projects.messages"; Microsoft, "Push notification service request and response headers". A text with holes is not known
before there is an event, so nothing is said of it. What a service refuses is an error; what it takes and the phone then
does not show as meant is a warning, and so is a header that a newer service may know.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from hub.notification import Platform
from hub.platforms.fcm.body import fcm_name
from rules.native import payload_node
from rules.node import Node
from rules.problems import Problems, did_you_mean

MAX_APNS, MAX_VOIP, MAX_FCM, MAX_WNS = 4096, 5120, 4096, 5000
"""Bytes of a payload; the senders refuse what is larger."""
MAX_COLLAPSE_ID = 64  # bytes
MAX_TTL = 2_419_200  # seconds, four weeks

_WITH_SUFFIX: Mapping[str, str] = {
    "voip": ".voip",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
}
"""What a push type puts behind the bundle id in `apns-topic`; the senders derive it."""
_PUSH_TYPES = ("alert", "background", "mdm", *_WITH_SUFFIX)
_WITHOUT_APS = frozenset({"voip", "mdm", "fileprovider", "complication"})
_APNS_HEADERS = ("apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id", "apns-topic", "apns-id")
_APS_KEYS = (
    "alert", "badge", "sound", "thread-id", "category", "content-available", "mutable-content", "target-content-id",
    "interruption-level", "relevance-score", "filter-criteria", "stale-date", "content-state", "timestamp", "event",
    "dismissal-date", "attributes-type", "attributes", "input-push-channel", "input-push-token", "content-changed",
    "url-args",
)  # fmt: skip
_LEVELS = ("passive", "active", "time-sensitive", "critical")
_WNS_ROOTS = ("toast", "tile", "badge")


def check_native(platform: Platform, native: Node, problems: Problems) -> None:
    """Complain of what the service of `platform` is sure to refuse in a `native` entry that compiles."""
    entries = native.value if isinstance(native.value, dict) else {}
    headers = _literals(entries.get("headers"))
    payload = entries.get("payload")
    if payload is None or payload.value is None:
        return
    if platform is Platform.WNS:
        _check_wns(payload, headers, problems)
        return
    tree = payload_node(payload, Problems())
    if tree is None:
        return
    if platform is Platform.APNS:
        _check_apns(tree, headers, problems)
        limit = MAX_VOIP if _said(headers, "apns-push-type") in ("voip", None) else MAX_APNS
        _check_size(_json_size(tree), limit, payload, problems)
    elif platform is Platform.FCM:
        _check_fcm(tree, problems)


def _literals(node: Node | None) -> dict[str, Node]:
    """Headers by lower-case name."""
    return {name.lower(): entry for name, entry in node.value.items()} if node and isinstance(node.value, dict) else {}


def _said(headers: Mapping[str, Node], name: str) -> str | None:
    """The value of a header; empty if there is none, None if it has holes."""
    node = headers.get(name)
    return "" if node is None else None if "{{" in node.text else node.text


# APNs


def _check_apns(payload: Node, headers: Mapping[str, Node], problems: Problems) -> None:
    _check_apns_headers(headers, problems)
    push_type = _said(headers, "apns-push-type")
    entries = payload.value if isinstance(payload.value, dict) else {}
    aps = entries.get("aps")
    if aps is None:
        if push_type not in (None, *_WITHOUT_APS):
            near = next((name for name in entries if name.casefold() in ("aps", "apns", "apn")), None)
            hint = "did you mean aps?" if near else "write { aps: { alert: … }, … }; keys of the app stand beside aps"
            problems.add(payload, "aps is missing, and nothing is shown without it", hint)
        return
    if isinstance(aps.value, str) and "{{" in aps.value:
        return
    if not isinstance(aps.value, dict):
        problems.add(aps, "expected an object", "write aps: { alert: … }")
        return
    _check_aps(aps, aps.value, push_type, problems)
    is_silent = _is_one(aps.value.get("content-available")) and aps.value.keys().isdisjoint(("alert", "badge", "sound"))
    priority = headers.get("apns-priority")
    if priority is not None and push_type == "" and is_silent and priority.text == "10":
        problems.add(priority, "a payload that shows nothing goes as a background push, which has priority 5")


def _check_apns_headers(headers: Mapping[str, Node], problems: Problems) -> None:
    for name, node in headers.items():
        if not name.startswith("apns-"):
            continue  # complained of as it was compiled
        if name not in _APNS_HEADERS:
            hint = did_you_mean(name, _APNS_HEADERS, all_if_few=False)
            problems.warn(node, "no header that APNs knows", hint, mark=node.key_mark)
        elif "{{" not in node.text:
            _check_apns_header(name, node, headers, problems)


def _check_apns_header(name: str, node: Node, headers: Mapping[str, Node], problems: Problems) -> None:
    text, push_type = node.text, _said(headers, "apns-push-type")
    match name:
        case "apns-push-type" if text not in _PUSH_TYPES:
            hint = did_you_mean(text, _PUSH_TYPES, all_if_few=False) or f"known: {', '.join(_PUSH_TYPES)}"
            problems.add(node, f"APNs has no push type {node.written!r}", hint)
        case "apns-priority" if text not in ("1", "5", "10"):
            problems.add(node, "APNs has the priorities 10 (at once), 5 (saves power) and 1 (wakes nothing)")
        case "apns-priority" if push_type == "background" and text != "5":
            problems.add(node, "a background push has priority 5; APNs refuses another")
        case "apns-priority" if push_type == "voip" and text != "10":
            problems.warn(node, "a voip push has priority 10")
        case "apns-expiration" if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
            problems.add(node, "expected a time in seconds since 1970, or 0", "push.ttl counts from now: ttl: 6h")
        case "apns-expiration" if 0 < int(text) < 10**9:
            problems.add(node, "seconds since 1970: this push has expired", "push.ttl counts from now: ttl: 6h")
        case "apns-collapse-id" if len(text.encode()) > MAX_COLLAPSE_ID:
            size = len(text.encode())
            problems.add(node, f"{size} bytes, APNs takes {MAX_COLLAPSE_ID}", "push.collapse is made to fit")
        case "apns-id":
            problems.warn(node, "the hub sets it: a push keeps its id on every try", mark=node.key_mark)
        case "apns-topic":
            _check_topic(node, push_type, problems)


def _check_topic(node: Node, push_type: str | None, problems: Problems) -> None:
    wanted = _WITH_SUFFIX.get(push_type or "", "")
    if push_type is None or push_type not in (*_PUSH_TYPES, ""):
        return
    if wanted and not node.text.endswith(wanted):
        problems.add(node, f"the topic of {push_type} ends with {wanted}", "leave the header out: the hub derives it")
    elif not wanted and push_type != "mdm":
        suffix = next((suffix for suffix in _WITH_SUFFIX.values() if node.text.endswith(suffix)), None)
        if suffix is not None:
            kind = next(kind for kind, ending in _WITH_SUFFIX.items() if ending == suffix)
            problems.add(node, f"a topic that ends with {suffix} takes {kind} only", f"write apns-push-type: {kind}")


def _check_aps(node: Node, aps: Mapping[str, Node], push_type: str | None, problems: Problems) -> None:
    by_letters = {re.sub(r"[-_]", "", key): key for key in _APS_KEYS}
    for key, entry in aps.items():
        known = by_letters.get(re.sub(r"[-_]", "", key).casefold())
        if known is not None and known != key:
            problems.warn(entry, "no key of aps that Apple knows", f"did you mean {known}?", mark=entry.key_mark)
    for key in ("content-available", "mutable-content"):
        flag = aps.get(key)
        if flag is not None and not _has_hole(flag) and not _is_one(flag) and flag.value != 0:
            problems.warn(flag, "the phone takes the number 1 only", f"write {key}: 1")
    badge = aps.get("badge")
    if badge is not None and not _has_hole(badge) and type(badge.value) is not int:
        problems.warn(badge, "the phone takes a whole number only", "write badge: 3, without quotes")
    level = aps.get("interruption-level")
    if level is not None and not _has_hole(level) and level.value not in _LEVELS:
        problems.warn(
            level, f"expected one of {', '.join(_LEVELS)}", did_you_mean(level.text, _LEVELS, all_if_few=False)
        )
    if push_type == "background":
        shown = next((aps[key] for key in ("alert", "sound") if key in aps), None)
        if shown is not None:
            hint = "write apns-push-type: alert, or leave the header out"
            problems.warn(shown, "a background push shows nothing", hint, mark=shown.key_mark)
        elif "content-available" not in aps:
            problems.warn(node, "a background push needs content-available: 1")
    if push_type == "liveactivity":
        _check_live_activity(node, aps, problems)


def _check_live_activity(node: Node, aps: Mapping[str, Node], problems: Problems) -> None:
    event = aps.get("event")
    needed = ["timestamp", "event"]
    if event is not None and event.value in ("start", "update"):
        needed.append("content-state")
    if event is not None and event.value == "start":
        needed += ["attributes-type", "attributes", "alert"]
    for key in needed:
        if key not in aps:
            problems.warn(node, f"a Live Activity needs {key}, and the phone ignores a push without")
    if event is not None and not _has_hole(event) and event.value not in ("start", "update", "end"):
        problems.warn(event, "expected start, update or end")


def _is_one(node: Node | None) -> bool:
    return node is not None and type(node.value) is int and node.value == 1


def _has_hole(node: Node) -> bool:
    return isinstance(node.value, str) and "{{" in node.value


# FCM

Kind = Callable[[Node, Problems], None]
Schema = Mapping[str, Any]
"""Fields by their names in snake case; each is a Kind or a Schema."""


def _check_fcm(payload: Node, problems: Problems) -> None:
    message = payload.value.get("message") if isinstance(payload.value, dict) else None
    if message is None:
        return  # complained of as it was compiled
    if not isinstance(message.value, dict):
        problems.add(message, "expected an object", "write message: { notification: { title: … } }")
        return
    _check_object(payload, _REQUEST, problems)
    size = sum(
        _value_size(message.value[name]) for name in ("data", "notification", "android") if name in message.value
    )
    _check_size(size, MAX_FCM, message, problems)
    apns = message.value.get("apns")
    if apns is not None and isinstance(apns.value, dict):
        headers = _literals(apns.value.get("headers"))
        if "payload" in apns.value:
            _check_apns(apns.value["payload"], headers, problems)
        else:
            _check_apns_headers(headers, problems)


def _check_object(node: Node, schema: Schema, problems: Problems) -> None:
    if _has_hole(node) or node.value is None:
        return
    if not isinstance(node.value, dict):
        problems.add(node, f"expected an object with keys such as {', '.join(list(schema)[:3])}")
        return
    for name, entry in node.value.items():
        kind = schema.get(fcm_name(name))
        if kind is None:
            cure = _LEGACY.get(fcm_name(name)) or did_you_mean(fcm_name(name), schema, all_if_few=False)
            problems.add(entry, "FCM knows no such field and refuses the message", cure, mark=entry.key_mark)
        elif callable(kind):
            if kind is _target or not (_has_hole(entry) or entry.value is None):
                kind(entry, problems)
        else:
            _check_object(entry, kind, problems)


def _target(node: Node, problems: Problems) -> None:
    problems.add(
        node, "cannot be given: the hub sends to the phones of the audience", "push.to names them", mark=node.key_mark
    )  # fmt: skip


def _text(pattern: str = "(?s).*", words: str = "") -> Kind:
    def check(node: Node, problems: Problems) -> None:
        if isinstance(node.value, dict | list):
            problems.add(node, "expected a text")
        elif not re.fullmatch(pattern, node.text):
            problems.add(node, f"expected {words}")

    return check


def _texts(node: Node, problems: Problems) -> None:
    if not isinstance(node.value, list):
        problems.add(node, "expected a list of texts")


def _boolean(node: Node, problems: Problems) -> None:
    if not isinstance(node.value, bool):
        problems.add(node, "expected true or false, without quotes")


def _integer(node: Node, problems: Problems) -> None:
    if isinstance(node.value, bool) or not re.fullmatch(r"-?\d{1,10}", node.text):
        problems.add(node, "expected a whole number")


def _object(node: Node, problems: Problems) -> None:
    if not isinstance(node.value, dict):
        problems.add(node, "expected an object")


def _choice(prefix: str, names: str, *, any_case: bool = False) -> Kind:
    known = [prefix + name for name in names.split()]

    def check(node: Node, problems: Problems) -> None:
        text = node.text.lower() if any_case else node.text
        if isinstance(node.value, dict | list) or text not in known:
            problems.add(node, f"expected one of {', '.join(known)}", did_you_mean(node.text, known, all_if_few=False))

    return check


def _ttl(node: Node, problems: Problems) -> None:
    number = re.fullmatch(r"(\d+(?:\.\d{1,9})?)(s?)", node.text, re.ASCII)
    if number is None or not number[2]:
        hint = f'write "{node.text}s", or push.ttl' if number else "push.ttl takes 30s, 6h or 7d"
        problems.add(node, "expected seconds and s, such as 3600s", hint)
    elif float(number[1]) > MAX_TTL:
        problems.add(node, f"FCM keeps a message for {MAX_TTL}s at most, four weeks")


def _map(node: Node, problems: Problems) -> None:
    if not isinstance(node.value, dict):
        problems.add(node, "expected texts by name")
        return
    for entry in node.value.values():
        if entry.value is None:
            problems.add(entry, "is null, and FCM takes texts only", "leave the key out", mark=entry.key_mark)
        elif isinstance(entry.value, dict | list):
            problems.add(entry, "FCM takes texts only here", 'write one text of JSON: \'{ "a": "{{ data.a }}" }\'')


def _data(node: Node, problems: Problems) -> None:
    _map(node, problems)
    for key, entry in node.value.items() if isinstance(node.value, dict) else ():
        if key in ("from", "message_type", "google", "gcm") or key.startswith(("google.", "gcm.")):
            problems.add(
                entry,
                "FCM keeps this key for itself and refuses the message",
                "give it another name",
                mark=entry.key_mark,
            )
        elif key.startswith(("google", "gcm")):
            problems.warn(entry, "FCM keeps keys that begin so for itself", "give it another name", mark=entry.key_mark)


def _webpush_headers(node: Node, problems: Problems) -> None:
    _map(node, problems)
    rules = {
        "ttl": (r"\d{1,10}", "seconds"),
        "urgency": ("very-low|low|normal|high", "one of very-low, low, normal, high"),
        "topic": (r"[A-Za-z0-9_-]{1,32}", "up to 32 letters, digits, - and _"),
    }
    for name, entry in node.value.items() if isinstance(node.value, dict) else ():
        if name.lower() in rules and not _has_hole(entry):
            _text(*rules[name.lower()])(entry, problems)


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
    **dict.fromkeys(("token", "topic", "condition", "fid"), _target),
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


# WNS

_WNS_VALUES: Mapping[str, tuple[str, str]] = {
    "x-wns-type": ("wns/(toast|tile|badge|raw)", "one of wns/toast, wns/tile, wns/badge, wns/raw"),
    "x-wns-cache-policy": ("cache|no-cache", "cache or no-cache"),
    "x-wns-requestforstatus": ("true|false", "true or false"),
    "x-wns-tag": ("[A-Za-z0-9]{1,16}", "up to 16 letters and digits"),
    "x-wns-group": ("[A-Za-z0-9]{1,16}", "up to 16 letters and digits"),
    "x-wns-ttl": (r"\d{1,10}", "seconds, as a whole number"),
    "x-wns-priority": ("[1-4]", "1 (high) to 4 (very low)"),
    "x-wns-suppresspopup": ("true|false", "true or false"),
}


def _check_wns(payload: Node, headers: Mapping[str, Node], problems: Problems) -> None:
    for name, node in headers.items():
        if not name.startswith("x-wns-") or "{{" in node.text:
            continue
        if name not in _WNS_VALUES:
            hint = did_you_mean(name, _WNS_VALUES, all_if_few=False)
            problems.warn(node, "no header of a notification that WNS knows", hint, mark=node.key_mark)
            continue
        pattern, words = _WNS_VALUES[name]
        if not re.fullmatch(pattern, node.text, re.IGNORECASE | re.ASCII):
            cure = f"write wns/{node.text}" if name == "x-wns-type" and node.text in (*_WNS_ROOTS, "raw") else ""
            problems.add(node, f"expected {words}", cure)
    _check_wns_type(payload, headers, problems)
    if isinstance(payload.value, str):
        size = len(re.sub(r"\{\{.*?\}\}", "", payload.value, flags=re.DOTALL).encode())
        _check_size(size, MAX_WNS, payload, problems)


def _check_wns_type(payload: Node, headers: Mapping[str, Node], problems: Problems) -> None:
    said = (_said(headers, "x-wns-type") or "").lower().removeprefix("wns/")
    text = payload.value if isinstance(payload.value, str) else ""
    root = re.match(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<([\w:-]+)", text, re.DOTALL)
    if said in _WNS_ROOTS and not _has_hole_first(text) and (root is None or root[1] != said):
        found = f"<{root[1]}>" if root else "no XML"
        cure = (
            f"write X-WNS-Type: wns/{root[1]}"
            if root and root[1] in _WNS_ROOTS
            else f"begin with <{said}>, or say wns/raw"
        )
        problems.add(headers["x-wns-type"], f"the payload is {found}, and WNS takes <{said}> for this type", cure)


def _has_hole_first(text: str) -> bool:
    return text.lstrip().startswith("{{")


# Sizes: what the payload has at least, whatever the values


def _check_size(size: int, limit: int, node: Node, problems: Problems) -> None:
    if size > limit:
        problems.add(node, f"has {size} bytes without its values, the service takes {limit}", mark=node.key_mark)


def _without_holes(text: str) -> str:
    return re.sub(r"\{\{.*?\}\}", "", text, flags=re.DOTALL)


def _json_size(node: Node) -> int:
    return len(orjson.dumps(_smallest(node)))


def _smallest(node: Node) -> Any:
    match node.value:
        case dict() as entries:
            return {key: _smallest(entry) for key, entry in entries.items()}
        case list() as items:
            return [_smallest(item) for item in items]
        case str() as text if re.fullmatch(r"\{\{.*\}\}", text, re.DOTALL):
            return 0
        case str() as text:
            return _without_holes(text)
        case scalar:
            return scalar


def _value_size(node: Node) -> int:
    match node.value:
        case dict() as entries:
            return sum(len(key.encode()) + _value_size(entry) for key, entry in entries.items())
        case list() as items:
            return sum(map(_value_size, items))
        case None:
            return 0
        case _:
            return len(_without_holes(node.text).encode())
