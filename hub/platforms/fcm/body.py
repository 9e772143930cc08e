"""What a body has to be for FCM's HTTP v1 API (`projects.messages.send`), and what of the legacy API still fits it."""

from typing import Any

import orjson

from hub.errors import InvalidRequestError

_TARGETS = ("token", "topic", "condition")
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
    target = next((name for name in _TARGETS if name in message), None)
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
