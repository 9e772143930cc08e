"""`map`: what a source's messages hold, as an event with CloudEvents names."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from operator import attrgetter
from typing import Any

from hub.acceptance import MAX_INDEXED
from hub.frozen import frozen_dataclass
from hub.people import person_key
from hub.times import is_no_time, parse_time
from rules.errors import MappingError, RenderError
from rules.event import Event
from rules.expression_tree import Names
from rules.headers import with_headers
from rules.render import Text
from rules.text import text_of

MAP_NAMES: Names = {"data": attrgetter("data"), "meta": attrgetter("meta")}
"""What the texts of a `map` may use."""

MAX_ATTRIBUTE = 1024
"""Characters of an event's id, source, type and subject: they stand in logs, in the store and in keys."""


@frozen_dataclass(frozen=True, slots=True, kw_only=True)
class DecodedMessage:
    """What a message says of itself without a `map`; None where it says nothing.

    `id`, `source`, `type`, `subject` and `time` come with the format (CloudEvents), `message_id` and `enqueued_at` from
    the broker, and `position` is where the broker keeps the message.
    """

    data: Any
    meta: Mapping[str, Any]
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: datetime | None = None
    trace: str = ""
    tracestate: str = ""
    message_id: str | None = None
    position: str | None = None
    enqueued_at: datetime | None = None

    def __post_init__(self) -> None:
        if (meta := with_headers(self.meta)) is not self.meta:
            object.__setattr__(self, "meta", meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMap:
    """The `map` of the source called `origin`, compiled with MAP_NAMES; what it does not name is taken from the message.

    A `time` without an offset is in `timezone`. `subject`, `time` and `person` are optional: where theirs is null, empty,
    or for `time` a date of zeros, the event is taken as if they were not mapped.
    """

    origin: str
    id: Text | None = None
    source: Text | None = None
    type: Text | None = None
    subject: Text | None = None
    time: Text | None = None
    person: Text | None = None
    timezone: tzinfo = UTC

    def event(self, message: DecodedMessage, *, now: datetime) -> Event:
        """The event that a message stands for.

        Its identity is the first there is of: `map.id`, the id its format gives, the broker's message id, the broker's
        position; else a random one, by which a redelivery cannot be known. Without any other word the type is the name
        of the source, and the time is that of arrival at the broker, or `now`.

        Raises: MappingError: a property is missing, is not what it is mapped to, or is longer than MAX_ATTRIBUTE, or an id
            or a person than MAX_INDEXED; the error says whom the message is about if the rest of the `map` alone is to
            blame.
        """
        person = "" if self.person is None else _person(self._whom(self.person, message))
        try:
            return self._event(message, person, now)
        except MappingError as error:
            error.person = person
            raise

    def _whom(self, text: Text, message: DecodedMessage) -> str:
        """An id. What holds several would be kept under their JSON, where no export and no erasure of one finds it."""
        value = self._optional("person", text, message)
        if isinstance(value, list | tuple | Mapping):
            kind = "an object" if isinstance(value, Mapping) else "a list"
            raise MappingError(f"map.person: is {kind}, and a person is one id")
        return _spelled("person", value)

    def _event(self, message: DecodedMessage, person: str, now: datetime) -> Event:
        return Event(
            id=_bounded_id(self._filled("id", self.id, message) or _identity(message)),
            origin=self.origin,
            source=_bounded(
                "source", self._filled("source", self.source, message) or message.source or f"/{self.origin}"
            ),
            type=_bounded("type", self._filled("type", self.type, message) or message.type or self.origin),
            subject=_bounded(
                "subject",
                _spelled("subject", self._optional("subject", self.subject, message)) or message.subject or "",
            ),
            time=(self.time and self._time(message)) or message.time or message.enqueued_at or now,
            data=message.data,
            meta=message.meta,
            trace=message.trace,
            tracestate=message.tracestate,
            person=person,
        )

    def _filled(self, attribute: str, text: Text | None, message: DecodedMessage) -> str | None:
        if text is None:
            return None
        try:
            filled = text.render(message)
        except RenderError as error:
            raise MappingError(f"map.{attribute}: {error}") from error
        if not filled:
            raise MappingError(f"map.{attribute} is empty")
        return filled

    def _optional(self, attribute: str, text: Text | None, message: DecodedMessage) -> Any:
        """The value of a text that is one placeholder and nothing else, else the text; null and empty are no mistake."""
        if text is None:
            return None
        try:
            return (
                text.placeholders[0].evaluate(message)
                if len(text.pieces) == len(text.placeholders) == 1
                else text.render(message)
            )
        except RenderError as error:
            raise MappingError(f"map.{attribute}: {error}") from error

    def _time(self, message: DecodedMessage) -> datetime | None:
        value = self._optional("time", self.time, message)
        if is_no_time(value):
            return None
        try:
            return parse_time(value, self.timezone)
        except ValueError as error:
            raise MappingError(f"map.time: {error}") from None


def _spelled(attribute: str, value: Any) -> str:
    """The text of a value; of null none."""
    if value is None:
        return ""
    try:
        return text_of(value)
    except RenderError as error:
        raise MappingError(f"map.{attribute}: {error}") from error


def _bounded(attribute: str, text: str) -> str:
    if len(text) > MAX_ATTRIBUTE:
        raise MappingError(f"the {attribute} of {len(text)} characters is too long, {MAX_ATTRIBUTE} are allowed")
    return text


def _bounded_id(text: str) -> str:
    _check_indexed("id", _bounded("id", text))
    return text


def _person(text: str) -> str:
    _check_indexed("person", person_key(_bounded("person", text)))
    return text


def _check_indexed(attribute: str, text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_INDEXED:
        raise MappingError(f"the {attribute} of {size} bytes is too long, {MAX_INDEXED} are allowed")


def _identity(message: DecodedMessage) -> str:
    return message.id or message.message_id or message.position or secrets.token_hex(16)
