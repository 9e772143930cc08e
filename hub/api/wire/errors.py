"""Errors as the wire contract sends them (Notification Hubs REST API, "Error codes").

ApiError                  root: an answer with a status of its own
├── UnauthorizedError     401: no token, or one that does not hold; its kind begins the detail
└── ForbiddenError        403: a good token without the right that this operation needs
"""

import math
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response

from hub.characters import escape_xml
from hub.errors import (
    CapacityError,
    GoneError,
    HubError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PreconditionError,
    StoreError,
)

REFUSALS = "pushbridge.refusals"
"""In a request's scope: a list for the kinds of what was wrong with its credentials, where the listener wants to know."""

XML = "application/xml; charset=utf-8"

_STORE_RETRY_AFTER = 5
_STATUSES: tuple[tuple[type[HubError], int], ...] = (
    (PayloadTooLargeError, 413),
    (InvalidRequestError, 400),
    (NotFoundError, 404),
    (PreconditionError, 412),
    (GoneError, 410),
)


class ApiError(Exception):
    """An answer with a status of its own."""

    status = 500


class UnauthorizedError(ApiError):
    """No token, or one that does not hold; `kind` is a name that SDKs know, such as `ExpiredToken`."""

    status = 401

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class ForbiddenError(ApiError):
    """A good token whose policy lacks the right."""

    status = 403
    kind = "Forbidden"


def response_for(error: Exception, *, tracking_id: str, now: datetime) -> Response:
    """The answer to a request that ended in `error`; what is not ours is an internal error, without its text."""
    match error:
        case ApiError():
            return _response(error.status, str(error), tracking_id, now)
        case CapacityError():
            return _response(429, str(error), tracking_id, now, retry_after=error.retry_after)
        case StoreError():
            # What the store says is for the operator's log; a client can only come again.
            text = "The store is not available at the moment"
            return _response(503, text, tracking_id, now, retry_after=_STORE_RETRY_AFTER)
        case HubError():
            status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
            return _response(status, str(error), tracking_id, now)
        case HTTPException():
            return _response(error.status_code, error.detail, tracking_id, now, headers=dict(error.headers or {}))
        case _:
            return _response(500, "Internal error", tracking_id, now)


def _response(
    status: int,
    text: str,
    tracking_id: str,
    now: datetime,
    *,
    retry_after: float | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    if retry_after is not None:
        headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}  # some SDKs fail on anything but whole seconds
    time = f"{now.month}/{now.day}/{now.year} {now.hour % 12 or 12}:{now:%M:%S} {'AM' if now.hour < 12 else 'PM'}"
    detail = f"{text.removesuffix('.')}.TrackingId:{tracking_id}_G0,TimeStamp:{time}"
    body = f"<Error><Code>{status}</Code><Detail>{escape_xml(detail)}</Detail></Error>"
    return Response(body, status, headers, media_type=XML)
