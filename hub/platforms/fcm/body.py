"""What a body has to be for FCM's HTTP v1 API (`projects.messages.send`), and what of the legacy API still fits it."""

import re
from typing import Any, Final

import orjson

from hub.errors import InvalidRequestError

MAX_PAYLOAD: Final = 4096  # bytes of keys and values

TARGETS = ("token", "topic", "condition", "fid")
_LEGACY_ROOT = {"data", "notification"}
_NOTIFICATION = {"title", "body", "image"}


def v1_body(text: str) -> str:
    """The body with its `message` object: as it is, or a legacy `data` or `notification` body put inside one.

    Raises: InvalidRequestError: no JSON object, a legacy body that means something else in v1, or one that names a
        target (the hub puts the token in).
    """
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequestError("the body has to be a JSON object")
    message = body.get("message", body)
    if not isinstance(message, dict):
        raise InvalidRequestError("`message` has to be a JSON object")
    target = next((name for name in TARGETS if name in message), None)
    if target:
        raise InvalidRequestError(f"`{target}` cannot be given: the hub sends to the audience's own tokens")
    if "message" in body:
        return text
    _check_legacy(body)
    return f'{{"message":{text}}}'


def _check_legacy(body: dict[str, Any]) -> None:
    strange = sorted(body.keys() - _LEGACY_ROOT)
    notification = body.get("notification")
    if isinstance(notification, dict):
        strange += sorted(f"notification.{name}" for name in notification.keys() - _NOTIFICATION)
    if strange or not body:
        reason = f"; {', '.join(strange)} cannot be carried over from the legacy API" if strange else ""
        raise InvalidRequestError(
            f'an FCM body is {{"message": {{"notification": …, "data": …, "android": …}}}}{reason}'
        )


def fcm_name(name: str) -> str:
    """The name of a field of FCM in snake case: JSON of protocol buffers takes camel case too."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


_MAPS = (("data",), ("android", "data"), ("apns", "headers"), ("webpush", "data"), ("webpush", "headers"))
_TEXTS = frozenset(
    "title body image icon color sound tag click_action body_loc_key title_loc_key channel_id ticker event_time"  # noqa: SIM905 - a table
    " collapse_key priority ttl restricted_package_name analytics_label link body_loc_args title_loc_args".split()
)


def is_fcm_text(path: tuple[str, ...]) -> bool:
    """Whether a value at a path below the payload has to be text for FCM, which refuses a number or a boolean there.

    `apns.payload` and `webpush.notification` are for other services: in them values keep their types.
    """
    below = tuple(map(fcm_name, path[1:]))
    if below[:-1] in _MAPS:
        return True
    is_foreign = below[:2] in (("apns", "payload"), ("webpush", "notification"))
    return bool(below) and not is_foreign and below[-1] in _TEXTS
