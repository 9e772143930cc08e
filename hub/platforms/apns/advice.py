"""What APNs refuses (Apple, "Sending notification requests to APNs" and "Generating a remote notification")."""

import re
from collections.abc import Mapping

from hub.platforms.advice import Complaints, Written, check_size, has_placeholder, is_placeholder_alone, json_size, said
from hub.platforms.apns.hints import PRIORITIES
from hub.platforms.apns.payload import MAX_PAYLOAD, MAX_VOIP_PAYLOAD, SHOWN, TOPIC_SUFFIXES
from hub.platforms.hints import MAX_COLLAPSE_ID
from hub.spelling import did_you_mean

_PUSH_TYPES = ("alert", "background", "mdm", *TOPIC_SUFFIXES)
_WITHOUT_APS = frozenset({"voip", "mdm", "fileprovider", "complication"})
_APNS_HEADERS = ("apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id", "apns-topic", "apns-id")
_APS_KEYS = (
    "alert", "badge", "sound", "thread-id", "category", "content-available", "mutable-content", "target-content-id",
    "interruption-level", "relevance-score", "filter-criteria", "stale-date", "content-state", "timestamp", "event",
    "dismissal-date", "attributes-type", "attributes", "input-push-channel", "input-push-token", "content-changed",
    "url-args",
)  # fmt: skip
_LEVELS = ("passive", "active", "time-sensitive", "critical")


def advise(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """See `Traits.advise`."""
    check_payload(payload, headers, complaints)
    limit = MAX_VOIP_PAYLOAD if said(headers, "apns-push-type") in ("voip", None) else MAX_PAYLOAD
    check_size(json_size(payload), limit, payload, complaints)


def check_payload(payload: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    """Complain of what is in a payload and its headers, but not of its size: FCM counts another way."""
    check_headers(headers, complaints)
    push_type = said(headers, "apns-push-type")
    entries = payload.value if isinstance(payload.value, dict) else {}
    aps = entries.get("aps")
    if aps is None:
        if push_type not in (None, *_WITHOUT_APS):
            near = next((name for name in entries if name.casefold() in ("aps", "apns", "apn")), None)
            hint = "did you mean aps?" if near else "write { aps: { alert: … }, … }; keys of the app stand beside aps"
            complaints.add(payload, "aps is missing, and nothing is shown without it", hint)
        return
    if isinstance(aps.value, str) and "{{" in aps.value:
        return
    if not isinstance(aps.value, dict):
        complaints.add(aps, "expected an object", "write aps: { alert: … }")
        return
    _check_aps(aps, aps.value, push_type, complaints)
    is_silent = _is_one(aps.value.get("content-available")) and aps.value.keys().isdisjoint(SHOWN)
    priority = headers.get("apns-priority")
    if priority is not None and push_type == "" and is_silent and priority.text == "10":
        complaints.add(priority, "a payload that shows nothing goes as a background push, which has priority 5")


def check_headers(headers: Mapping[str, Written], complaints: Complaints) -> None:
    """Complain of headers by lower-case name."""
    for name, node in headers.items():
        if not name.startswith("apns-"):
            continue  # complained of as it was compiled
        if name not in _APNS_HEADERS:
            hint = did_you_mean(name, _APNS_HEADERS, all_if_few=False)
            complaints.warn(node, "no header that APNs knows", hint, mark=node.key_mark)
        elif "{{" not in node.text:
            _check_header(name, node, headers, complaints)


def _check_header(name: str, node: Written, headers: Mapping[str, Written], complaints: Complaints) -> None:
    text, push_type = node.text, said(headers, "apns-push-type")
    match name:
        case "apns-push-type" if text not in _PUSH_TYPES:
            hint = did_you_mean(text, _PUSH_TYPES, all_if_few=False) or f"known: {', '.join(_PUSH_TYPES)}"
            complaints.add(node, f"APNs has no push type {node.written!r}", hint)
        case "apns-priority" if text not in PRIORITIES:
            complaints.add(node, "APNs has the priorities 10 (at once), 5 (saves power) and 1 (wakes nothing)")
        case "apns-priority" if push_type == "background" and text != "5":
            complaints.add(node, "a background push has priority 5; APNs refuses another")
        case "apns-priority" if push_type == "voip" and text != "10":
            complaints.warn(node, "a voip push has priority 10")
        case "apns-expiration" if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
            complaints.add(node, "expected a time in seconds since 1970, or 0", "push.ttl counts from now: ttl: 6h")
        case "apns-expiration" if 0 < int(text) < 10**9:
            complaints.add(node, "seconds since 1970: this push has expired", "push.ttl counts from now: ttl: 6h")
        case "apns-collapse-id" if len(text.encode()) > MAX_COLLAPSE_ID:
            size = len(text.encode())
            complaints.add(node, f"{size} bytes, APNs takes {MAX_COLLAPSE_ID}", "push.collapse is made to fit")
        case "apns-id":
            complaints.warn(node, "the hub sets it: a push keeps its id on every try", mark=node.key_mark)
        case "apns-topic":
            _check_topic(node, push_type, complaints)


def _check_topic(node: Written, push_type: str | None, complaints: Complaints) -> None:
    wanted = TOPIC_SUFFIXES.get(push_type or "", "")
    if push_type is None or push_type not in (*_PUSH_TYPES, ""):
        return
    if wanted and not node.text.endswith(wanted):
        complaints.add(node, f"the topic of {push_type} ends with {wanted}", "leave the header out: the hub derives it")
    elif not wanted and push_type != "mdm":
        suffix = next((suffix for suffix in TOPIC_SUFFIXES.values() if node.text.endswith(suffix)), None)
        if suffix is not None:
            kind = next(kind for kind, ending in TOPIC_SUFFIXES.items() if ending == suffix)
            complaints.add(node, f"a topic that ends with {suffix} takes {kind} only", f"write apns-push-type: {kind}")


def _check_aps(node: Written, aps: Mapping[str, Written], push_type: str | None, complaints: Complaints) -> None:
    by_letters = {re.sub(r"[-_]", "", key): key for key in _APS_KEYS}
    for key, entry in aps.items():
        known = by_letters.get(re.sub(r"[-_]", "", key).casefold())
        if known is not None and known != key:
            complaints.warn(entry, "no key of aps that Apple knows", f"did you mean {known}?", mark=entry.key_mark)
    for key in ("content-available", "mutable-content"):
        flag = aps.get(key)
        if flag is not None and not has_placeholder(flag) and not _is_one(flag) and flag.value != 0:
            complaints.warn(flag, "the phone takes the number 1 only", f"write {key}: 1")
    badge = aps.get("badge")
    if badge is not None and has_placeholder(badge) and not is_placeholder_alone(badge):
        hint = "write the placeholder alone in its quotes: the number stays a number"
        complaints.warn(badge, "a text, and the phone takes a whole number only", hint)
    elif badge is not None and not has_placeholder(badge) and type(badge.value) is not int:
        complaints.warn(badge, "the phone takes a whole number only", "write badge: 3, without quotes")
    level = aps.get("interruption-level")
    if level is not None and not has_placeholder(level) and level.value not in _LEVELS:
        complaints.warn(
            level, f"expected one of {', '.join(_LEVELS)}", did_you_mean(level.text, _LEVELS, all_if_few=False)
        )
    if push_type == "background":
        shown = next((aps[key] for key in ("alert", "sound") if key in aps), None)
        if shown is not None:
            hint = "write apns-push-type: alert, or leave the header out"
            complaints.warn(shown, "a background push shows nothing", hint, mark=shown.key_mark)
        elif "content-available" not in aps:
            complaints.warn(node, "a background push needs content-available: 1")
    if push_type == "liveactivity":
        _check_live_activity(node, aps, complaints)


def _check_live_activity(node: Written, aps: Mapping[str, Written], complaints: Complaints) -> None:
    event = aps.get("event")
    needed = ["timestamp", "event"]
    if event is not None and event.value in ("start", "update"):
        needed.append("content-state")
    if event is not None and event.value == "start":
        needed += ["attributes-type", "attributes", "alert"]
    for key in needed:
        if key not in aps:
            complaints.warn(node, f"a Live Activity needs {key}, and the phone ignores a push without")
    if event is not None and not has_placeholder(event) and event.value not in ("start", "update", "end"):
        complaints.warn(event, "expected start, update or end")


def _is_one(node: Written | None) -> bool:
    return node is not None and type(node.value) is int and node.value == 1
