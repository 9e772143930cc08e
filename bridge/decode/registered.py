"""Bodies whose schema is kept in a registry: Confluent's wire format, which is a zero, the schema's id, and the content.

The id has four bytes, the most significant first. A registry keeps schemas of several kinds; each is a file of its own.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from bridge.decode.base import Decoded, Decoder, DecodeSettings, Reader
from bridge.decode.wrapping import may_be_wrapped, unwrapped
from bridge.errors import EventError, Reason
from bridge.schemas.registry import KnownSchemas, RegisteredSchema
from connectors.base import Message

_PREFIX: Final = 5
_KINDS: Final[Mapping[str, Collection[str]]] = {"avro": ["AVRO"], "json": ["JSON"], "debezium": ["AVRO", "JSON"]}
"""By `decode.format`, the kinds of schemas that its bodies may have."""


class CompiledSchema(Protocol):
    """A schema as a content is read by it."""

    def read(self, content: bytes) -> Any:
        """The data. Raises: EventError."""


def has_registry(format_: str) -> bool:
    """Whether bodies of the format can have their schema in a registry."""
    return format_ in _KINDS


class RegisteredReader:
    """Reads bodies of one format; what a schema compiles to is made when it is first used, and kept."""

    def __init__(self, format_: str, schemas: KnownSchemas) -> None:
        self._format = format_
        self._schemas = schemas
        self._compiled: dict[int, CompiledSchema] = {}

    def __call__(self, body: bytes, content_type: str | None = None) -> Any:
        """Raises: EventError."""
        if (id := schema_id(body)) is None:
            raise EventError(Reason.DECODE, f"no schema's id before the content: it begins with {_shown(body)}")
        if (compiled := self._compiled.get(id)) is None:
            compiled = self._compiled[id] = self._compile(id)
        return compiled.read(body[_PREFIX:])

    def _compile(self, id: int) -> CompiledSchema:
        """Raises: EventError: there is no such schema, or none that a body can be read by."""
        schema = self._schemas.get(id)
        if schema is None:
            raise EventError(Reason.SCHEMA, self._schemas.why_missing(id))
        allowed = _KINDS[self._format]
        if not schema.defect and schema.kind not in allowed:
            kinds = " or ".join(allowed)
            raise EventError(
                Reason.SCHEMA,
                f"schema {id} is of the kind {schema.kind[:20]}, and decode.format: {self._format} wants {kinds}",
            )
        try:
            return _compiled(schema)
        except ValueError as error:
            raise EventError(Reason.SCHEMA, f"schema {id}: {error}") from None


def _compiled(schema: RegisteredSchema) -> CompiledSchema:
    """Raises: ValueError."""
    if schema.defect:
        raise ValueError(schema.defect)
    if schema.kind == "AVRO":
        from bridge.decode.avro import AvroSchema

        return AvroSchema(schema)
    from bridge.decode.registered_json import RegisteredJson

    return RegisteredJson(schema)


def reader(settings: DecodeSettings) -> Reader:
    """For the values of a source with a registry."""
    return RegisteredReader(settings.format, settings.schemas)


def with_key(decode: Decoder, settings: DecodeSettings) -> Decoder:
    """The same, with the key of each message as `meta.key`, read by the schema that it names."""
    assert settings.key is not None
    read = RegisteredReader(settings.key, settings.schemas)

    def decode_both(message: Message) -> Decoded:
        decoded = decode(message)
        if (key := _key(message)) is not None:
            try:
                decoded.attributes = {**decoded.attributes, "key": read(key)}
            except EventError as error:
                raise EventError(error.reason, f"the key: {error.detail}") from None
        return decoded

    return decode_both


def in_clear(settings: DecodeSettings) -> DecodeSettings:
    """For tests of rules and samples, which ask no registry: a body is JSON, with the data that its schema would give."""
    if settings.registry is None:
        return settings
    return replace(settings, format="json" if settings.format == "avro" else settings.format, registry=None, key=None)


def schema_ids(message: Message, settings: DecodeSettings) -> Iterator[int]:
    """The ids of the schemas without which a message cannot be decoded; none of one that cannot be decoded anyway."""
    if message.unreadable or len(message.body) > settings.max_body:
        return
    body = message.body
    if may_be_wrapped(message):
        try:
            body = unwrapped(message, limit=settings.max_body).body
        except EventError:
            return
    if message.has_body and (id := schema_id(body)) is not None:
        yield id
    if settings.key is not None and (key := _key(message)) is not None and (id := schema_id(key)) is not None:
        yield id


def schema_id(body: bytes) -> int | None:
    """The id that a body, or a key, begins with; None where it does not."""
    if len(body) < _PREFIX or body[0] != 0:
        return None
    return int.from_bytes(body[1:_PREFIX], "big")


def _key(message: Message) -> bytes | None:
    """A connector gives a key as text where it can be."""
    key = message.properties.get("key")
    return key.encode() if isinstance(key, str) else key


def _shown(body: bytes) -> str:
    return f"0x{body[0]:02x}, and not with 0" if body and body[0] else f"{len(body)} bytes"
