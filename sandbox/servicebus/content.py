"""What a client has sent: a message in its sections (AMQP 1.0 part 3, section 2), kept as they came.

The bare message (properties to footer) goes out byte for byte; header and annotations are written anew for every
delivery.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sandbox.servicebus.amqp import DecodeError
from sandbox.servicebus.amqp.decoding import decode, skip
from sandbox.servicebus.amqp.encoding import encode, encode_described, encode_list
from sandbox.servicebus.amqp.types import Symbol, UInt

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, VALUE = 0x75, 0x77

SCHEDULED_ENQUEUE_TIME = Symbol("x-opt-scheduled-enqueue-time")

_PROPERTIES = (
    "message-id", "user-id", "to", "subject", "reply-to", "correlation-id", "content-type", "content-encoding",
    "absolute-expiry-time", "creation-time", "group-id", "group-sequence", "reply-to-group-id",
)  # fmt: skip


class Content:
    """A message without what the broker knows of it; never changed, so all subscriptions of a topic share one.

    `body` is everything behind the application properties.
    """

    def __init__(
        self,
        *,
        header: list[Any],
        annotations: Mapping[Any, Any],
        properties_section: bytes,
        application_properties_section: bytes,
        body: bytes,
    ) -> None:
        self.header = header
        self.annotations = annotations
        self.properties_section = properties_section
        self.application_properties_section = application_properties_section
        self.body = body

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        """The fields of the properties that are set, by their names in the standard."""
        if not self.properties_section:
            return {}
        fields = _readable(self.properties_section, list)
        return {name: value for name, value in zip(_PROPERTIES, fields, strict=False) if value is not None}

    @cached_property
    def application_properties(self) -> Mapping[str, Any]:
        """The sender's own."""
        section = self.application_properties_section
        return _readable(section, dict) if section else {}

    @property
    def session_id(self) -> str | None:
        """The session it belongs to, or None."""
        return self.properties.get("group-id")

    @property
    def time_to_live(self) -> int | None:
        """Milliseconds, None for no limit."""
        return _integer(self.header[2]) if len(self.header) > 2 else None

    @property
    def scheduled_for(self) -> int | None:
        """When it is to become visible, in milliseconds since 1970; None for at once."""
        return _integer(self.annotations.get(SCHEDULED_ENQUEUE_TIME))

    def replacing_application_properties(self, properties: Mapping[str, Any]) -> "Content":
        """The same with these application properties instead of its own."""
        return Content(
            header=self.header,
            annotations=self.annotations,
            properties_section=self.properties_section,
            application_properties_section=encode_described(APPLICATION_PROPERTIES, encode(dict(properties))),
            body=self.body,
        )

    def without_schedule(self) -> "Content":
        """The same when its time has come."""
        kept = {key: value for key, value in self.annotations.items() if key != SCHEDULED_ENQUEUE_TIME}
        return Content(
            header=self.header,
            annotations=kept,
            properties_section=self.properties_section,
            application_properties_section=self.application_properties_section,
            body=self.body,
        )

    def encode(self, *, delivery_count: int, annotations: Mapping[Symbol, Any]) -> bytes:
        """The message as it is delivered: the broker's annotations beside, and above, those of the sender."""
        durable, priority, ttl = (*self.header[:3], None, None, None)[:3]
        header = [encode(durable), encode(priority), encode(ttl), b"\x40", encode(UInt(delivery_count))]
        return b"".join(
            (
                encode_described(HEADER, encode_list(header)),
                encode_described(MESSAGE_ANNOTATIONS, encode({**self.annotations, **annotations})),
                self.properties_section,
                self.application_properties_section,
                self.body,
            )
        )

    def encode_as_sent(self) -> bytes:
        """The message as the broker keeps it on disk."""
        return b"".join(
            (
                encode_described(HEADER, encode(self.header)),
                encode_described(MESSAGE_ANNOTATIONS, encode(dict(self.annotations))),
                self.properties_section,
                self.application_properties_section,
                self.body,
            )
        )


def read_content(data: bytes) -> Content:
    """A message out of its encoded sections.

    Raises: DecodeError.
    """
    header: list[Any] = []
    annotations: dict[Any, Any] = {}
    properties = application_properties = b""
    start = 0
    while start < len(data):
        code = _section(data, start)
        if code > APPLICATION_PROPERTIES:
            break
        end = skip(data, start)
        if code == HEADER:
            header = _valued(data, start, list)
        elif code == MESSAGE_ANNOTATIONS:
            annotations = _valued(data, start, dict)
        elif code == PROPERTIES:
            properties = data[start:end]
        elif code == APPLICATION_PROPERTIES:
            application_properties = data[start:end]
        start = end
    return Content(
        header=header,
        annotations=annotations,
        properties_section=properties,
        application_properties_section=application_properties,
        body=data[start:],
    )


def read_batch(data: bytes) -> list[Content]:
    """The messages of a batch: each data section of the envelope holds a whole one.

    Raises: DecodeError.
    """
    contents = []
    start = 0
    while start < len(data):
        code = _section(data, start)
        if code == DATA:
            contents.append(read_content(_valued(data, start, bytes)))
        start = skip(data, start)
    return contents


def value_of(content: Content) -> Any:
    """The value of a message whose body is one AMQP value.

    Raises: DecodeError: it has another body.
    """
    if not content.body or _section(content.body, 0) != VALUE:
        raise DecodeError("the body is not an AMQP value")
    return decode(content.body)[0].value


def _integer(value: Any) -> int | None:
    """A number that a client has set; what is none counts as not set."""
    return value if isinstance(value, int) else None


def _section(data: bytes, start: int) -> int:
    """The code of the section that begins at `start`."""
    if len(data) - start < 4 or data[start : start + 2] != b"\x00\x53" or not HEADER <= data[start + 2] <= 0x78:
        raise DecodeError("a message consists of sections, and these bytes begin none")
    return data[start + 2]


def _readable(section: bytes, kind: type) -> Any:
    """The content of a section that goes out as it came; of one that cannot be read, nothing is known here."""
    try:
        return _valued(section, 0, kind)
    except DecodeError:
        return kind()


def _valued(data: bytes, start: int, kind: type) -> Any:
    value = decode(data, start)[0].value
    if not isinstance(value, kind):
        raise DecodeError(f"the section 0x{data[start + 2]:02x} cannot be of type {type(value).__name__}")
    return value
