"""In which mode a request carries events, and the single events of a batch (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import orjson

STRUCTURED_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
_ID_HEADERS = ("ce-id", "idempotency-key", "x-message-id")


class Mode(Enum):
    """How a request carries events (CloudEvents HTTP binding 1.0, section 3; Event Grid webhook delivery)."""

    PLAIN = auto()
    STRUCTURED = auto()
    BINARY = auto()
    BATCH = auto()
    EVENT_GRID = auto()
    EVENT_GRID_VALIDATION = auto()

    @property
    def is_batch(self) -> bool:
        """Whether the body is an array of events."""
        return self in (Mode.BATCH, Mode.EVENT_GRID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One event of a request; `id` is the sender's, as far as it is known without decoding."""

    body: bytes
    content_type: str | None
    id: str | None


def cloudevents_mode(headers: Mapping[str, str]) -> Mode | None:
    """The mode of a request to a CloudEvents source; None is for a content type that carries no event we can read.

    Header names are in lower case. The content type is asked first: a structured event may repeat its attributes as
    headers.
    """
    media_type = _media_type(headers)
    if media_type.startswith("application/cloudevents"):
        return {STRUCTURED_TYPE: Mode.STRUCTURED, BATCH_TYPE: Mode.BATCH}.get(media_type)
    if any(name.startswith("ce-") for name in headers):
        return Mode.BINARY
    if media_type == "application/json" and "aeg-event-type" in headers:
        validating = headers["aeg-event-type"].lower() == "subscriptionvalidation"
        return Mode.EVENT_GRID_VALIDATION if validating else Mode.EVENT_GRID
    return None


def parts_of(mode: Mode, headers: Mapping[str, str], body: bytes) -> list[Part]:
    """The events of a request, one part each.

    A batch that cannot be taken apart stays one part as it came, so that decoding refuses it and its bytes are kept.
    """
    content_type = headers.get("content-type")
    if mode.is_batch and (events := _array(body)) is not None:
        one = STRUCTURED_TYPE if mode is Mode.BATCH else content_type
        try:
            return [Part(body=orjson.dumps(event), content_type=one, id=_id(event)) for event in events]
        except orjson.JSONEncodeError:
            pass  # nested deeper than orjson writes
    id = next((headers[name] for name in _ID_HEADERS if headers.get(name)), None)
    return [Part(body=body, content_type=content_type, id=id)]


def validation_code(body: bytes) -> str | None:
    """The code with which Event Grid asks whether its deliveries are welcome, or None if there is none."""
    match _array(body):
        case [{"data": {"validationCode": str(code)}}]:
            return code
    return None


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _array(body: bytes) -> list[Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, list) else None


def _id(event: Any) -> str | None:
    id = event.get("id") if isinstance(event, dict) else None
    return id if isinstance(id, str) else None
