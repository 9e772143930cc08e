"""Message to data: one format a file. Read `base.py` first, then the format that interests you."""

from bridge.decode.base import Decoded, Decoder, DecodeSettings
from bridge.decode.readers import reader_for
from bridge.decode.registered import reader as registered_reader
from bridge.decode.registered import with_key
from bridge.decode.wrapping import may_be_wrapped, unwrapped
from bridge.errors import EventError, Reason
from connectors.base import Message
from hub.trace_context import trace_from
from rules.event import Opaque

__all__ = ["DecodeSettings", "Decoded", "Decoder", "decoder_for"]


def decoder_for(settings: DecodeSettings) -> Decoder:
    """The decoder of a source; making it compiles the pattern and imports what the format needs.

    A message without a body (a tombstone) has the data null. The decoder raises EventError with the reason `too_large`
    for a body over the limit, packed or unpacked, and `decode` for anything that is not what the format says; details
    name positions and kinds, never values.
    """
    decode = _decoder_of_format(settings)
    if settings.key is not None:
        decode = with_key(decode, settings)
    max_body = settings.max_body

    def decode_bounded(message: Message) -> Decoded:
        size = len(message.body)
        if size > max_body:
            raise EventError(Reason.TOO_LARGE, f"the body has {size} bytes, the limit is {max_body}")
        decoded = decode(unwrapped(message, limit=max_body) if may_be_wrapped(message) else message)
        if not decoded.trace:  # that of the event, which the format may carry, wins over that of its last hop
            decoded.trace, decoded.tracestate = trace_from(message.headers)
        return decoded

    schema = settings.schema
    if schema is None:
        return decode_bounded

    def decode_checked(message: Message) -> Decoded:
        decoded = decode_bounded(message)
        if message.has_body:
            if isinstance(decoded.data, Opaque):
                raise EventError(Reason.SCHEMA, f"{decoded.data.kind} cannot be held against a schema")
            schema.check(decoded.data)
        return decoded

    return decode_checked


def _decoder_of_format(settings: DecodeSettings) -> Decoder:
    if settings.format == "cloudevents":
        from bridge.decode.cloudevents import CloudEventsDecoder

        return CloudEventsDecoder(settings)
    if settings.format == "debezium":
        from bridge.decode.debezium import DebeziumDecoder

        return DebeziumDecoder(settings)
    read = reader_for(settings.format, settings) if settings.registry is None else registered_reader(settings)

    def decode(message: Message) -> Decoded:
        data = read(message.body, message.content_type) if message.has_body else None
        return Decoded(data=data)

    return decode
