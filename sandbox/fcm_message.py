"""The message of FCM HTTP v1 as a schema, and what is wrong with a document by it (pure).

Standard behind it: Firebase, "REST Resource: projects.messages", and the proto3 JSON mapping: names in snake case or
camel case, 32-bit numbers also as text, durations as `3.5s`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

MAX_PAYLOAD = 4096
MAX_TOPIC_PAYLOAD = 2048
MAX_TTL = 2_419_200

TARGETS = ("token", "topic", "condition", "fid")


@dataclass(frozen=True, slots=True)
class Violation:
    """One entry of `google.rpc.BadRequest.fieldViolations`."""

    field: str
    description: str


Check = Callable[[object, str], Iterator[Violation]]
Fields = Mapping[str, "Check | Fields"]


def _invalid(path: str, kind: str, value: object) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({kind}), {value!r}")


def _text(pattern: str = r"(?s).*") -> Check:
    expression = re.compile(pattern)

    def check(value: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, str) or not expression.fullmatch(value):
            yield _invalid(path, "TYPE_STRING", value)

    return check


def _boolean(value: object, path: str) -> Iterator[Violation]:
    if not isinstance(value, bool):
        yield _invalid(path, "TYPE_BOOL", value)


def _integer(value: object, path: str) -> Iterator[Violation]:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value) else value
    if type(number) is not int or not -(2**31) <= number < 2**31:
        yield _invalid(path, "TYPE_INT32", value)


def _number(value: object, path: str) -> Iterator[Violation]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield _invalid(path, "TYPE_FLOAT", value)


def _struct(value: object, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(path, "type.googleapis.com/google.protobuf.Struct", value)


def _ttl(value: object, path: str) -> Iterator[Violation]:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,7}(\.\d{1,9})?s", value) or float(value[:-1]) > MAX_TTL:
        yield Violation(path, f"Invalid duration at '{path}': 0s to {MAX_TTL}s, not {value!r}")


def _enum(prefix: str, names: str) -> Check:
    """One of `names`, or of `prefix` and the name, as the two sorts of enums in this API have it."""
    allowed = {prefix + name for name in names.split()}

    def check(value: object, path: str) -> Iterator[Violation]:
        if value not in allowed:
            yield _invalid(path, "TYPE_ENUM", value)

    return check


def _list(item: Check) -> Check:
    def check(value: object, path: str) -> Iterator[Violation]:
        if not isinstance(value, list):
            yield _invalid(path, "TYPE_LIST", value)
            return
        for index, one in enumerate(value):
            yield from item(one, f"{path}[{index}]")

    return check


def _text_map(value: object, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(path, "TYPE_MAP", value)
        return
    for index, one in enumerate(value.values()):
        yield from STRING(one, f"{path}[{index}].value")


def _data(value: object, path: str) -> Iterator[Violation]:
    """A string map without the keys that FCM keeps for itself."""
    yield from _text_map(value, path)
    for key in value if isinstance(value, dict) else ():
        if key in ("from", "message_type") or key.startswith(("google", "gcm")):
            yield Violation(path, f"Invalid data payload key: {key}")


STRING = _text()
LABEL = _text(r"[a-zA-Z0-9-_.~%]{1,50}")

COLOR: Fields = {"red": _number, "green": _number, "blue": _number, "alpha": _number}

ANDROID_NOTIFICATION: Fields = {
    **dict.fromkeys(
        ("title", "body", "icon", "sound", "tag", "click_action", "body_loc_key", "title_loc_key", "channel_id"), STRING
    ),
    **dict.fromkeys(("ticker", "event_time", "image"), STRING),
    **dict.fromkeys(("body_loc_args", "title_loc_args"), _list(STRING)),
    **dict.fromkeys(
        ("sticky", "local_only", "default_sound", "default_vibrate_timings", "default_light_settings"), _boolean
    ),
    "color": _text(r"#[0-9a-fA-F]{6}"),
    "notification_priority": _enum("PRIORITY_", "UNSPECIFIED MIN LOW DEFAULT HIGH MAX"),
    "visibility": _enum("", "VISIBILITY_UNSPECIFIED PRIVATE PUBLIC SECRET"),
    "proxy": _enum("", "PROXY_UNSPECIFIED ALLOW DENY IF_PRIORITY_LOWERED"),
    "vibrate_timings": _list(STRING),
    "notification_count": _integer,
    "light_settings": {"color": COLOR, "light_on_duration": STRING, "light_off_duration": STRING},
}

MESSAGE: Fields = {
    "name": STRING,
    "token": STRING,
    "fid": STRING,
    "topic": _text(r"[a-zA-Z0-9-_.~%]+"),
    "condition": STRING,
    "data": _data,
    "notification": dict.fromkeys(("title", "body", "image"), STRING),
    "android": {
        "collapse_key": STRING,
        "priority": _enum("", "normal high NORMAL HIGH"),
        "ttl": _ttl,
        "restricted_package_name": STRING,
        "data": _data,
        "notification": ANDROID_NOTIFICATION,
        "fcm_options": {"analytics_label": LABEL},
        **dict.fromkeys(("direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"), _boolean),
    },
    "apns": {
        "headers": _text_map,
        "payload": _struct,
        "live_activity_token": STRING,
        "fcm_options": {"analytics_label": LABEL, "image": STRING},
    },
    "webpush": {
        "headers": _text_map,
        "data": _text_map,
        "notification": _struct,
        "fcm_options": {"link": _text(r"https://.+"), "analytics_label": LABEL},
    },
    "fcm_options": {"analytics_label": LABEL},
}

REQUEST: Fields = {"message": MESSAGE, "validate_only": _boolean}


def violations(document: object) -> list[Violation]:
    """What the JSON of a request has wrong by the schema, and that it does not have exactly one target."""
    found = list(_object(document, "", REQUEST))
    if found:
        return found
    assert isinstance(document, dict)
    message = document.get("message")
    if message is None:
        return [Violation("message", "The message is not set.")]
    targets = [name for name in TARGETS if message.get(name) is not None]
    if not targets:
        return [Violation("message", "Recipient of the message is not set.")]
    if len(targets) > 1:
        text = f"Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{targets[1]}'"
        return [Violation("message", text)]
    return []


def _object(value: object, path: str, fields: Fields) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(path or "message", "TYPE_MESSAGE", value)
        return
    for name, one in value.items():
        kind = fields.get(_snake(name))
        at = f"{path}.{name}" if path else name
        if kind is None:
            where = f" at '{path}'" if path else ""
            yield Violation(path, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')
        elif one is None:
            continue  # as if it were not there
        elif callable(kind):
            yield from kind(one, at)
        else:
            yield from _object(one, at, kind)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def payload_size(message: Mapping[str, object]) -> int:
    """Bytes of keys and values that an Android device gets: `data`, `notification` and the `android` block."""
    return sum(_size(message.get(name)) for name in ("data", "notification", "android"))


def _size(value: object) -> int:
    match value:
        case dict():
            return sum(_size(name) + _size(one) for name, one in value.items())
        case list():
            return sum(map(_size, value))
        case None:
            return 0
        case _:
            return len(str(value).encode())
