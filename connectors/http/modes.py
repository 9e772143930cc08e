"""In which mode a request carries events, and the single events of a batch (pure)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Any

STRUCTURED_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
MAX_ID = 1024
"""Characters of an id that a message or a result carries; the event of a longer one is refused as it is mapped."""

_ID_HEADERS = ("ce-id", "idempotency-key", "x-message-id", "webhook-id")
_LONGEST_CHALLENGE = 4096
_SPACE = " \t\n\r"
_SPACE_RUN = re.compile(f"[{_SPACE}]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[][{}]', re.DOTALL)
_BYTES_KEPT = "surrogateescape"
"""How bytes that are not UTF-8 pass through: only the event that holds them is refused for them."""

_DECODER = json.JSONDecoder(parse_int=float)  # an int of too many digits would be an error


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


def parts_of(mode: Mode, headers: Mapping[str, str], body: bytes, *, limit: int) -> list[Part]:
    """The events of a request, one part each, as they were written; of a batch with more than `limit`, one more.

    A batch that cannot be taken apart stays one part as it came, so that decoding refuses it and its bytes are kept.
    """
    content_type = headers.get("content-type")
    if mode.is_batch and (elements := _elements(body, limit + 1)) is not None:
        one = STRUCTURED_TYPE if mode is Mode.BATCH else content_type
        return [Part(body=text.encode(errors=_BYTES_KEPT), content_type=one, id=_id(event)) for text, event in elements]
    return [Part(body=body, content_type=content_type, id=id_in(headers))]


def id_in(headers: Mapping[str, str]) -> str | None:
    """The id that a sender gives in a header, however long it is."""
    return next((headers[name] for name in _ID_HEADERS if headers.get(name)), None)


def validation_code(body: bytes) -> str | None:
    """The code with which Event Grid asks whether its deliveries are welcome, or None if there is none."""
    match _elements(body, 2):
        case [(_, {"data": {"validationCode": str(code)}})]:
            return code
    return None


def challenge_of(body: bytes) -> str | None:
    """What Slack asks to be told back, or None where a body asks for nothing."""
    if len(body) > _LONGEST_CHALLENGE or b'"url_verification"' not in body:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"type": "url_verification", "challenge": str(challenge)}:
            return challenge
    return None


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _elements(body: bytes, most: int) -> list[tuple[str, Any]] | None:
    """The first elements of a JSON array, each as it is written and what it says; None for what is no array."""
    try:
        return list(islice(_walk(body.decode("utf-8-sig", _BYTES_KEPT)), most))
    except (ValueError, RecursionError):
        return None


def _walk(text: str) -> Iterator[tuple[str, Any]]:
    """As `_elements`. The text matters: written again, long numbers would be rounded and repeated names dropped.

    Raises: ValueError, RecursionError.
    """
    if not text.startswith("[", at := _behind_space(text, 0)):
        raise ValueError("no array")
    goes_on = not text.startswith("]", at := _behind_space(text, at + 1))
    while goes_on:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = None, _end_of_object(text, at)  # decoding refuses this one; the others are whole
        yield text[at:end], value
        if goes_on := text.startswith(",", at := _behind_space(text, end)):
            at = _behind_space(text, at + 1)
    if text[at:].rstrip(_SPACE) != "]":
        raise ValueError("the array has no end, or is not all")


def _end_of_object(text: str, at: int) -> int:
    """Where the object that begins here ends, by its brackets alone. Raises: ValueError: no object, or it never ends."""
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    open_brackets: list[str] = []
    for token in _STRING_OR_BRACKET.finditer(text, at):
        match token[0]:
            case "{" | "[" as bracket:
                open_brackets.append(bracket)
            case "}" | "]" as bracket:
                if open_brackets.pop() != ("{" if bracket == "}" else "["):
                    raise ValueError("brackets that do not match")
                if not open_brackets:
                    return token.end()
    raise ValueError("an object without an end")


def _behind_space(text: str, at: int) -> int:
    run = _SPACE_RUN.match(text, at)
    assert run is not None  # it may be empty
    return run.end()


def _id(event: Any) -> str | None:
    """What an event calls itself, unless it is too long, or no UTF-8 can hold it: such an event is refused later."""
    id = event.get("id") if isinstance(event, dict) else None
    if not isinstance(id, str) or len(id) > MAX_ID:
        return None
    return None if any("\ud800" <= character <= "\udfff" for character in id) else id
